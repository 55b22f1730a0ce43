use std::path::Path;

/// Calls `check` with every source file of the library.
fn for_each_source(folder: &Path, check: &mut impl FnMut(&Path, String)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            for_each_source(&path, check);
        } else {
            check(&path, std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn the_library_uses_core_and_alloc_alone() {
    let mut files = 0;
    for_each_source(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
        &mut |path, text| {
            files += 1;
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            let mut code = code.flat_map(|line| {
                line.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
            });
            assert!(
                !code.any(|word| word.starts_with("std::") || word == "tokio"),
                "{}",
                path.display()
            );
        },
    );
    assert!(files > 30);
    let manifest = include_str!("../../Cargo.toml");
    assert!(include_str!("../../src/lib.rs").contains("#![no_std]"));
    assert!(
        !manifest
            .split("[dev-dependencies]")
            .next()
            .unwrap()
            .contains("\"std\"")
    );
}
