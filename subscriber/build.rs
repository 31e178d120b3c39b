//! Has the page built in again whenever it was built anew.

use std::fs;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let web = Path::new("../web");
    if web.is_dir() {
        // Cargo looks at all in the folder, and takes one that is missing for one that changes all the time.
        let dist = web.join("dist");
        if let Err(error) = fs::create_dir_all(&dist) {
            println!("cargo:warning={}: {error}", dist.display());
        }
        println!("cargo:rerun-if-changed={}", dist.display());
    }
}
