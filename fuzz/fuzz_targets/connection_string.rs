//! A connection string is read or refused, and neither the error nor `Debug` shows what is secret.

#![no_main]

use amqp10::eventhubs::ConnectionString;
use libfuzzer_sys::fuzz_target;

/// A key that must not come out again.
const SECRET: &str = "hush-hush-hush";

fuzz_target!(|text: &str| {
    let shown = match text.parse::<ConnectionString>() {
        Ok(parsed) => format!("{parsed:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    let with_key = format!("{text};SharedAccessKeyName=n;SharedAccessKey={SECRET}");
    let shown_with_key = match with_key.parse::<ConnectionString>() {
        Ok(parsed) => format!("{parsed:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    assert!(text.contains(SECRET) || !shown.contains(SECRET));
    assert!(text.contains(SECRET) || !shown_with_key.contains(SECRET));
});
