//! Moments as text (RFC 3339), of the years 0 to 9999.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECONDS_OF_DAY: i64 = 86_400;
/// Days from the first of March of the year 0 to the first of January 1970.
const DAYS_TO_1970: i64 = 719_468;

/// The moment in UTC, with as many digits as it needs.
#[cfg(any(test, feature = "json"))]
pub(super) fn format(time: SystemTime) -> String {
    let (seconds, nanos) = match time.duration_since(UNIX_EPOCH) {
        Ok(since) => (since.as_secs() as i64, since.subsec_nanos()),
        Err(before) => match before.duration() {
            before if before.subsec_nanos() == 0 => (-(before.as_secs() as i64), 0),
            before => (
                -(before.as_secs() as i64) - 1,
                1_000_000_000 - before.subsec_nanos(),
            ),
        },
    };
    let (year, month, day) = date_of(seconds.div_euclid(SECONDS_OF_DAY));
    let of_day = seconds.rem_euclid(SECONDS_OF_DAY);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let fraction = match nanos {
        0 => String::new(),
        nanos => format!(".{nanos:09}").trim_end_matches('0').to_owned(),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Reads a moment; digits beyond nanoseconds do not count, and a leap second is the one after it.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let (date, rest) = text.split_at_checked(10)?;
    let (separator, rest) = rest.split_at_checked(1)?;
    if !matches!(separator, "T" | "t" | " ") {
        return None;
    }
    let (clock, rest) = rest.split_at_checked(8)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let is_time = hour < 24 && minute < 60 && second <= 60;
    if !is_time || !(1..=12).contains(&month) || !(1..=days_of_month(year, month)).contains(&day) {
        return None;
    }
    let (nanos, zone) = match rest.strip_prefix('.') {
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (fraction, zone) = rest.split_at(digits);
            (nanos_of(fraction)?, zone)
        }
        None => (0, rest),
    };
    let of_day = hour * 3600 + minute * 60 + second - offset(zone)?;
    let seconds = days_to(year, month, day) * SECONDS_OF_DAY + of_day;
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let moment = match seconds < 0 {
        true => UNIX_EPOCH.checked_sub(whole)?,
        false => UNIX_EPOCH.checked_add(whole)?,
    };
    moment.checked_add(Duration::from_nanos(nanos))
}

/// Seconds that a zone is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let (sign, clock) = zone.split_at_checked(1)?;
    let [hours, minutes] = numbers(clock, ':', [2, 2])?;
    let seconds = hours * 3600 + minutes * 60;
    match sign {
        _ if hours > 23 || minutes > 59 => None,
        "+" => Some(seconds),
        "-" => Some(-seconds),
        _ => None,
    }
}

/// Numbers of so many digits each, and what stands between them.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut found = [0; N];
    for (found, digits) in found.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|octet| octet.is_ascii_digit()) {
            return None;
        }
        *found = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

/// Of the digits after the point.
fn nanos_of(fraction: &str) -> Option<u64> {
    if fraction.is_empty() {
        return None;
    }
    let digits = &fraction[..fraction.len().min(9)];
    let number: u64 = digits.parse().ok()?;
    Some(number * 10_u64.pow(9 - digits.len() as u32))
}

fn days_of_month(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 to a date. Years are counted from March, so that the leap day is the last of its year.
fn days_to(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month_from_march = (month + 9) % 12;
    let of_year = (153 * month_from_march + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year
        - DAYS_TO_1970
}

/// The date so many days from 1970.
#[cfg(any(test, feature = "json"))]
fn date_of(days: i64) -> (i64, i64, i64) {
    /// Days of 400 years.
    const DAYS_OF_ERA: i64 = 146_097;
    let days = days + DAYS_TO_1970;
    let (era, of_era) = (days.div_euclid(DAYS_OF_ERA), days.rem_euclid(DAYS_OF_ERA));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let is_next_year = i64::from(month <= 2);
    (era * 400 + year + is_next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<i64> {
        let time = parse(text)?;
        Some(match time.duration_since(UNIX_EPOCH) {
            Ok(since) => since.as_secs() as i64,
            Err(before) => -(before.duration().as_secs() as i64),
        })
    }

    #[test]
    fn known_moments_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2018-04-05T03:56:24Z", 1_522_900_584),
            ("2018-04-05t05:56:24+02:00", 1_522_900_584),
            ("2018-04-04T23:26:24-04:30", 1_522_900_584),
            ("2000-02-29T00:00:00Z", 951_782_400),
            ("1969-12-31T23:59:59Z", -1),
            ("1600-01-01T00:00:00Z", -11_676_096_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        let nanos = parse("1970-01-01T00:00:00.1234567899Z").unwrap();
        assert_eq!(nanos, UNIX_EPOCH + Duration::from_nanos(123_456_789));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "yesterday",
            "2018-04-05",
            "2018-04-05T03:56:24",
            "2018-13-05T03:56:24Z",
            "2018-02-29T03:56:24Z",
            "2018-04-05T24:00:00Z",
            "2018-04-05T03:56:24.Z",
            "2018-04-05T03:56:24+1:00",
            "2018-04-05T03:56:24Zulu",
            "2018-04-0é5T03:56:24Z",
            "+018-04-05T03:56:24Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for day in (-700_000_i64..2_900_000).step_by(487) {
            let distance = Duration::from_secs(day.unsigned_abs() * 86_399);
            let distance = distance + Duration::from_nanos(day.unsigned_abs() % 1000 * 1000);
            let time = match day < 0 {
                true => UNIX_EPOCH - distance,
                false => UNIX_EPOCH + distance,
            };
            assert_eq!(parse(&format(time)), Some(time), "{}", format(time));
        }
        let moment = UNIX_EPOCH + Duration::from_millis(1_522_900_584_120);
        assert_eq!(format(moment), "2018-04-05T03:56:24.12Z");
    }
}
