//! The one ZeroMQ option that the `zmq` crate has no function for, `ZMQ_XPUB_NODROP`; and nothing else, for setting it
//! takes the only unsafe call of the project.

use std::ffi::c_int;
use std::ptr;

/// Whether an XPUB socket refuses a message with `EAGAIN` when a peer's queue is full, instead of dropping it for that
/// peer in silence (`zmq_setsockopt(3)`, `ZMQ_XPUB_NODROP`). May be changed at any time.
///
/// # Errors
/// `EINVAL` on a socket that is no XPUB.
pub fn set_xpub_nodrop(socket: &mut zmq::Socket, on: bool) -> Result<(), zmq::Error> {
    let value = c_int::from(on);
    let option = zmq_sys::ZMQ_XPUB_NODROP.cast_signed();
    // SAFETY: `as_mut_ptr` gives the live handle of a socket that we hold alone; the option's value is a C int whose
    // address and size are passed, and libzmq copies it before it returns. `zmq_errno` reads a thread's own number.
    #[allow(unsafe_code)]
    unsafe {
        let value_at = ptr::from_ref(&value).cast();
        match zmq_sys::zmq_setsockopt(socket.as_mut_ptr(), option, value_at, size_of::<c_int>()) {
            0 => Ok(()),
            _ => Err(zmq::Error::from_raw(zmq_sys::zmq_errno())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_taken_by_an_xpub_and_refused_by_another_socket() {
        let context = zmq::Context::new();
        let mut xpub = context.socket(zmq::XPUB).unwrap();
        set_xpub_nodrop(&mut xpub, true).unwrap();
        set_xpub_nodrop(&mut xpub, false).unwrap();
        let mut pull = context.socket(zmq::PULL).unwrap();
        assert_eq!(set_xpub_nodrop(&mut pull, true), Err(zmq::Error::EINVAL));
    }
}
