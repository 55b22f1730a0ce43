//! AMQP 1.0 types and their encoding.
#![no_std]
