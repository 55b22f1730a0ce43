//! Instruments of the facade.

pub(in crate::eventhubs) use metrics::{Counter, Gauge, Histogram};

use metrics::{Label, counter, gauge, histogram};

/// Names and values that tell apart what is counted under one name.
type Labels<'a> = &'a [(&'static str, &'a str)];

pub(super) fn counter(name: &'static str, labels: Labels<'_>) -> Counter {
    counter!(name, owned(labels))
}

pub(super) fn gauge(name: &'static str, labels: Labels<'_>) -> Gauge {
    gauge!(name, owned(labels))
}

pub(super) fn histogram(name: &'static str, labels: Labels<'_>) -> Histogram {
    histogram!(name, owned(labels))
}

fn owned(labels: Labels<'_>) -> Vec<Label> {
    let label = |(name, value): &(&'static str, &str)| Label::new(*name, (*value).to_owned());
    labels.iter().map(label).collect()
}
