//! The environment that OpenBLAS reads when it loads: one thread, and the run's kernel.
//!
//! Setting it in a running process changes nothing, and the library ignores unknown names in silence.
//! So the process executes itself again under the pinned environment and checks what the library then
//! reports.

use std::os::unix::process::CommandExt;
use std::process::Command;

use lockstep_core::blas;

use crate::failure::Failure;

const KERNEL: &str = "OPENBLAS_CORETYPE";
const THREADS: [&str; 3] = ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "GOTO_NUM_THREADS"];
/// The kernel under which this process was executed again; a second time would be no better.
const AGAIN: &str = "LOCKSTEP_EXECUTED_FOR";
/// For tests of the fingerprint: stay under whatever the environment gave.
const KEEP: &str = "LOCKSTEP_TEST_KEEP_BLAS";

/// Whether a test wants the process to stay under the library's environment as it is.
pub fn keeps_kernel() -> bool {
    std::env::var_os(KEEP).is_some()
}

/// The kernel under which this process was executed again, or else `kernel`.
pub fn current_or(kernel: &str) -> String {
    std::env::var(AGAIN).unwrap_or_else(|_| kernel.to_owned())
}

/// Returns once the library runs this kernel on one thread; executes this process again if need be.
///
/// # Errors
/// If the library does not have the kernel.
pub fn pin(kernel: &str) -> Result<(), Failure> {
    let (found, threads) = (blas::kernel(), blas::threads());
    if keeps_kernel() || (found == kernel && threads == 1) {
        return Ok(());
    }
    if found == "rust" || std::env::var_os(AGAIN).is_some_and(|again| again == kernel) {
        return Err(Failure::bad(format!(
            "cluster.kernel is {kernel:?}, but {} runs {found:?} on {threads} threads: name a kernel that this \
             library and processor have (cluster.kernel = {found:?})",
            blas::library()
        )));
    }
    let program =
        std::env::current_exe().map_err(|error| Failure::failed(format!("cannot execute again: {error}")))?;
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1)).env(KERNEL, kernel).env(AGAIN, kernel);
    for threads in THREADS {
        command.env(threads, "1");
    }
    Err(Failure::failed(format!("cannot execute again: {}", command.exec())))
}
