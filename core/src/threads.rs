//! Threads for the arithmetic. How many there are never shows in a number.

use std::fmt;

use rayon::prelude::*;

/// Where loops over shards and over blocks run.
pub struct Threads(Option<rayon::ThreadPool>);

impl Threads {
    /// The calling thread alone.
    pub const fn one() -> Self {
        Self(None)
    }

    /// So many threads; with 1, the calling thread alone. Fails if the system gives no threads.
    pub fn new(count: usize) -> Result<Self, std::io::Error> {
        if count <= 1 {
            return Ok(Self::one());
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(count)
            .thread_name(|index| format!("compute-{index}"))
            .build()
            .map_err(std::io::Error::other)?;
        Ok(Self(Some(pool)))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.as_ref().map_or(1, rayon::ThreadPool::current_num_threads)
    }

    /// Runs `work` on each item.
    pub fn each<I: Send>(&self, items: &mut [I], work: impl Fn(&mut I) + Send + Sync) {
        match &self.0 {
            Some(pool) if items.len() > 1 => {
                pool.install(|| items.par_iter_mut().with_max_len(1).for_each(work));
            }
            _ => items.iter_mut().for_each(work),
        }
    }

    /// Runs `work` among the threads: what it shares out from there needs no waking of the first one.
    pub fn enter<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.0 {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    /// Runs both.
    pub fn join(&self, a: impl FnOnce() + Send, b: impl FnOnce() + Send) {
        match &self.0 {
            Some(pool) => {
                pool.join(a, b);
            }
            None => {
                a();
                b();
            }
        }
    }

    /// Runs `work(start, block)` on blocks of at most `len` values.
    pub fn blocks<T: Send>(
        &self,
        values: &mut [T],
        len: usize,
        work: impl Fn(usize, &mut [T]) + Send + Sync,
    ) {
        match &self.0 {
            Some(pool) if values.len() > len => pool.install(|| {
                values.par_chunks_mut(len).enumerate().for_each(|(index, block)| work(index * len, block));
            }),
            _ => values.chunks_mut(len).enumerate().for_each(|(index, block)| work(index * len, block)),
        }
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Threads({})", self.count())
    }
}
