//! What the linked BLAS library says of itself.

/// The kernel that OpenBLAS selected when it loaded, such as `Haswell`; `rust` when products are
/// ndarray's own.
pub fn kernel() -> String {
    imp::kernel()
}

/// The library's description of its build, such as `OpenBLAS 0.3.21 … DYNAMIC_ARCH …`.
pub fn library() -> String {
    imp::library()
}

/// Threads that one product uses. Lockstep needs 1: more give other bits.
pub fn threads() -> usize {
    imp::threads()
}

#[cfg(feature = "blas")]
#[allow(unsafe_code)]
mod imp {
    //! Three queries of OpenBLAS's C interface, all read-only.
    use std::ffi::{CStr, c_char, c_int};

    extern crate blas_src as _;

    unsafe extern "C" {
        fn openblas_get_corename() -> *const c_char;
        fn openblas_get_config() -> *const c_char;
        fn openblas_get_num_threads() -> c_int;
    }

    fn text(pointer: *const c_char) -> String {
        if pointer.is_null() {
            return "unknown".into();
        }
        // SAFETY: OpenBLAS returns pointers to static, null-terminated strings.
        unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
    }

    pub(super) fn kernel() -> String {
        // SAFETY: takes nothing, reads what was decided at load time.
        text(unsafe { openblas_get_corename() })
    }

    pub(super) fn library() -> String {
        // SAFETY: as above. (The buffer is static and written with the same text at each call.)
        text(unsafe { openblas_get_config() }).trim().to_owned()
    }

    pub(super) fn threads() -> usize {
        // SAFETY: as above.
        usize::try_from(unsafe { openblas_get_num_threads() }).unwrap_or(1)
    }
}

#[cfg(not(feature = "blas"))]
mod imp {
    pub(super) fn kernel() -> String {
        "rust".into()
    }
    pub(super) fn library() -> String {
        "ndarray's own kernels".into()
    }
    pub(super) fn threads() -> usize {
        1
    }
}
