//! Instruments that do nothing and take no room, without the feature `metrics`.

#[derive(Clone)]
pub(in crate::eventhubs) struct Counter;
#[derive(Clone)]
pub(in crate::eventhubs) struct Gauge;
#[derive(Clone)]
pub(in crate::eventhubs) struct Histogram;

impl Counter {
    pub(in crate::eventhubs) fn increment(&self, _by: u64) {}
}

impl Gauge {
    pub(in crate::eventhubs) fn increment(&self, _by: f64) {}
    pub(in crate::eventhubs) fn decrement(&self, _by: f64) {}
    pub(in crate::eventhubs) fn set(&self, _value: f64) {}
}

impl Histogram {
    pub(in crate::eventhubs) fn record(&self, _value: f64) {}
}

type Labels<'a> = &'a [(&'static str, &'a str)];

pub(super) fn counter(_name: &'static str, _labels: Labels<'_>) -> Counter {
    Counter
}

pub(super) fn gauge(_name: &'static str, _labels: Labels<'_>) -> Gauge {
    Gauge
}

pub(super) fn histogram(_name: &'static str, _labels: Labels<'_>) -> Histogram {
    Histogram
}
