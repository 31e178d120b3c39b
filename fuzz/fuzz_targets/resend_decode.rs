//! See `bodies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lastbeat_fuzz_bodies::run("resend_decode", bytes));
