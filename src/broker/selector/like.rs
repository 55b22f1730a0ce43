//! The patterns of LIKE: `_` is one character, `%` any number of them.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    One,
    Many,
    Literal(char),
}

/// A pattern that was read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Part>);

impl Pattern {
    /// None if the escape character stands before another one than `_`, `%` or itself, or at the end.
    pub(super) fn new(pattern: &str, escape: Option<char>) -> Option<Self> {
        let mut parts = Vec::new();
        let mut characters = pattern.chars();
        while let Some(c) = characters.next() {
            parts.push(match c {
                c if Some(c) == escape => {
                    let escaped = characters.next()?;
                    let may_be = escaped == '_' || escaped == '%' || Some(escaped) == escape;
                    Part::Literal(may_be.then_some(escaped)?)
                }
                '_' => Part::One,
                '%' => Part::Many,
                c => Part::Literal(c),
            });
        }
        Some(Self(parts))
    }

    /// Goes back to the last `%` only: the time is at most the product of the lengths.
    pub(super) fn matches(&self, text: &str) -> bool {
        let parts = &self.0;
        let (mut at, mut rest) = (0, text.chars());
        let mut last_many = None;
        loop {
            let before = rest.clone();
            match (parts.get(at), rest.next()) {
                (Some(Part::Many), _) => {
                    at += 1;
                    rest = before.clone();
                    last_many = Some((at, before));
                }
                (Some(Part::One), Some(_)) => at += 1,
                (Some(Part::Literal(expected)), Some(c)) if *expected == c => at += 1,
                (None, None) => return true,
                _ => {
                    let Some((resume, from)) = &mut last_many else {
                        return false;
                    };
                    if from.next().is_none() {
                        return false;
                    }
                    at = *resume;
                    rest = from.clone();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_and_escapes() {
        for (pattern, escape, text, expected) in [
            ("%", None, "", true),
            ("_", None, "", false),
            ("a%c", None, "abbc", true),
            ("a%c", None, "abbcd", false),
            ("%b%", None, "abc", true),
            ("1_3", None, "123", true),
            ("1_3", None, "1223", false),
            ("a\\_b", Some('\\'), "a_b", true),
            ("a\\_b", Some('\\'), "axb", false),
            ("%%x", None, "yyx", true),
        ] {
            let pattern = Pattern::new(pattern, escape).unwrap();
            assert_eq!(pattern.matches(text), expected, "{pattern:?} {text}");
        }
        assert_eq!(Pattern::new("a\\b", Some('\\')), None);
        assert_eq!(Pattern::new("a\\", Some('\\')), None);
    }
}
