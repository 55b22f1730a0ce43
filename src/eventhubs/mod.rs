//! Azure Event Hubs: producer, consumer and properties on top of the AMQP handles.

pub mod wire;
