//! The doors by which fuzzing comes to what reads bytes here. No part of the program uses them.

pub use crate::{
    resend::{Resender, Step},
    ring::{Kept, Place, Ring},
};
