//! Links OpenBLAS: the distribution's static archive where there is one, so that the binary carries
//! its kernels with it (and needs no gfortran), else the shared library.
use std::path::Path;

/// Where Debian, Ubuntu, Fedora, Arch and Alpine put the archive; threaded flavour first, because
/// a worker multiplies on several threads at once and the serial flavour may be built without locks.
const FOLDERS: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu/openblas-pthread",
    "/usr/lib/aarch64-linux-gnu/openblas-pthread",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=OPENBLAS_LIB_DIR");
    if std::env::var_os("CARGO_FEATURE_BLAS").is_none() {
        return;
    }
    let given = std::env::var("OPENBLAS_LIB_DIR").ok();
    let folders = || given.iter().map(String::as_str).chain(FOLDERS);
    let holds = |name: &str| folders().find(|folder| Path::new(folder).join(name).exists());
    match (holds("libopenblas.a"), holds("libopenblas.so")) {
        (Some(folder), _) => {
            println!("cargo:rustc-link-search=native={folder}");
            println!("cargo:rustc-link-lib=static=openblas");
        }
        (None, Some(folder)) => {
            println!("cargo:rustc-link-search=native={folder}");
            println!("cargo:rustc-link-lib=dylib=openblas");
        }
        (None, None) => {
            println!(
                "cargo:warning=OpenBLAS was not found: `apt-get install libopenblas-dev`, set OPENBLAS_LIB_DIR, or build with --no-default-features"
            );
            println!("cargo:rustc-link-lib=dylib=openblas");
        }
    }
}
