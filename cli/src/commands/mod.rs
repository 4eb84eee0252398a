//! A file a command.

pub mod certs;
pub mod coordinator;
pub mod doctor;
pub mod evaluate;
pub mod init;
pub mod inspect;
pub mod predict;
pub mod status;
pub mod stop;
pub mod train;
pub mod up;
pub mod verify;
pub mod worker;
