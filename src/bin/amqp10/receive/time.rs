//! Points in time as RFC 3339 writes them.

/// Days in 400 years, after which the calendar repeats itself.
const DAYS_IN_ERA: i64 = 146_097;
const MILLIS_IN_DAY: i64 = 86_400_000;

/// `2026-11-20T11:03:01.250Z`, from milliseconds since 1970. Years of more than four digits are written in full.
pub fn rfc3339(millis: i64) -> String {
    let (year, month, day) = date(millis.div_euclid(MILLIS_IN_DAY));
    let of_day = millis.rem_euclid(MILLIS_IN_DAY);
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, milli) = (of_day / 1000 % 60, of_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

fn date(days_since_1970: i64) -> (i64, usize, i64) {
    let mut year = 1970 + 400 * days_since_1970.div_euclid(DAYS_IN_ERA);
    let mut days = days_since_1970.rem_euclid(DAYS_IN_ERA);
    while days >= days_in_year(year) {
        days -= days_in_year(year);
        year += 1;
    }
    let february = days_in_year(year) - 337;
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

fn days_in_year(year: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    365 + i64::from(is_leap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_the_calendar_has_them() {
        let table = [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
            (-62_135_596_800_000, "0001-01-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "10000-01-01T00:00:00.000Z"),
        ];
        for (millis, expected) in table {
            assert_eq!(rfc3339(millis), expected);
        }
        // Nothing that a timestamp can hold is too far away.
        assert!(rfc3339(i64::MIN).starts_with('-'));
        assert!(rfc3339(i64::MAX).ends_with('Z'));
    }
}
