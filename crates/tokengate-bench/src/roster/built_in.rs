//! The contenders of this crate, and the scenarios in which each takes part.
//!
//! The bench takes them all, and lets the user's take their places. The order is that of the tables. Peers
//! with a mutex a key are plain executors under another name.

use super::Entry;
use crate::contender::Handles::{Each, None};
use crate::contenders::{
    async_executor::AsyncExecutor,
    bounded_channel::BoundedChannel,
    chain::{
        local_executor::LocalExecutors,
        local_set::LocalSets,
        nested::Nested,
        rayon_join::RayonJoin,
        rayon_scope::RayonScope,
        tokengate::{Lead, TokengateChains},
        tokio_inside::TokioInsideChains,
        tokio_outside::TokioOutsideChains,
    },
    glommio_local::GlommioLocal,
    hash_channels::HashChannels,
    rayon_par_iter::RayonParIter,
    rayon_spawn::RayonSpawn,
    serial::Serial,
    static_split::StaticSplit,
    threadpool::Threadpool,
    tokengate::{Form, Tokengate},
    tokio_actors::TokioActors,
    tokio_chunks::TokioChunks,
    tokio_dashmap::TokioDashMap,
    tokio_inside::TokioInside,
    tokio_join_set::TokioJoinSet,
    tokio_outside::TokioOutside,
    tokio_spawn_blocking::TokioSpawnBlocking,
    tokio_spawn_pinned::TokioSpawnPinned,
};
use crate::keyed::Order::{Free, Kept};
use crate::scenarios::Scenario::{
    self, Chain, Flights, Keyed, Latency, Locality, Scale, Skew, Submit, Waves,
};

const WORK: &[Scenario] = &[Waves, Flights];
const BULK: &[Scenario] = &[Waves, Submit, Flights];
const EACH: &[Scenario] = &[Submit, Latency];
const PLAIN: &[Scenario] = &[Waves, Submit, Latency, Scale, Flights];
const LANES: &[Scenario] = &[Keyed, Locality, Skew];

/// The contenders of this crate.
pub(crate) fn built_in() -> Vec<Entry> {
    let all = [loops(), tokio(), rayon(), others(), ours()];
    all.into_iter().flatten().collect()
}

/// No executor at all.
fn loops() -> Vec<Entry> {
    let all_but_skew = &[
        Waves, Submit, Latency, Keyed, Locality, Chain, Scale, Flights,
    ];
    let with_parts = &[Waves, Submit, Keyed, Locality, Flights];
    vec![
        Entry::new("serial", None, all_but_skew, || Ok(Serial))
            .with_keys(Kept, || Ok(Serial))
            .with_chains(|| Ok(Nested)),
        Entry::new("static-split", None, with_parts, StaticSplit::start)
            .with_keys(Kept, StaticSplit::start),
    ]
}

fn tokio() -> Vec<Entry> {
    let outside = &[Waves, Submit, Latency, Chain, Scale, Flights];
    let inside = &[Waves, Submit, Chain, Scale, Flights];
    let with_mutex_inside = &[Keyed, Locality];
    let actors = &[Keyed, Skew, Flights];
    vec![
        Entry::new("tokio", Each, outside, TokioOutside::start)
            .with_chains(TokioOutsideChains::start),
        Entry::new("tokio-inside", Each, inside, TokioInside::start)
            .with_chains(TokioInsideChains::start),
        Entry::new("tokio-join-set", None, WORK, TokioJoinSet::start),
        Entry::new("tokio-chunks-64", None, &[Submit], TokioChunks::start),
        Entry::new(
            "tokio-spawn-blocking",
            Each,
            EACH,
            TokioSpawnBlocking::start,
        ),
        Entry::new("tokio-spawn-pinned", Each, EACH, TokioSpawnPinned::start),
        Entry::new("tokio-mutex", Each, LANES, TokioOutside::start),
        Entry::new(
            "tokio-mutex-inside",
            Each,
            with_mutex_inside,
            TokioInside::start,
        ),
        Entry::keyed("tokio-dashmap", Each, Free, &[Keyed], TokioDashMap::start),
        Entry::keyed("tokio-actors", None, Kept, actors, TokioActors::start),
        Entry::chains("tokio-local-set", LocalSets::start),
    ]
}

fn rayon() -> Vec<Entry> {
    vec![
        Entry::new("rayon-spawn", Each, PLAIN, RayonSpawn::start),
        Entry::new("rayon-par-iter", None, BULK, RayonParIter::start),
        Entry::new("rayon-mutex", Each, LANES, RayonSpawn::start),
        Entry::chains("rayon-join", RayonJoin::start),
        Entry::chains("rayon-scope", RayonScope::start),
    ]
}

fn others() -> Vec<Entry> {
    let executor = &[Submit, Latency, Scale];
    let by_owner = &[Keyed, Locality, Skew, Flights];
    vec![
        Entry::new("threadpool", Each, EACH, Threadpool::start),
        Entry::new("async-executor", Each, executor, AsyncExecutor::start),
        Entry::chains("async-executor-local", LocalExecutors::start),
        Entry::new("bounded-channel", Each, EACH, BoundedChannel::start),
        Entry::keyed("hash-channels", Each, Kept, by_owner, HashChannels::start),
        Entry::new("glommio-local", None, EACH, GlommioLocal::start),
    ]
}

fn ours() -> Vec<Entry> {
    let plain = |name, scenarios, form| {
        Entry::new(name, Each, scenarios, move || Tokengate::start(form))
            .measuring(move || Tokengate::start_timing_all(form))
    };
    let one_by_one = &[
        Waves, Submit, Latency, Keyed, Locality, Chain, Skew, Scale, Flights,
    ];
    let batch = &[Submit, Keyed, Locality, Chain, Scale, Flights];
    vec![
        plain("tokengate", one_by_one, Form::OneByOne)
            .roomy(|tokens| Tokengate::start_with_room(Form::OneByOne, tokens))
            .with_keys(Kept, || Tokengate::start(Form::OneByOne))
            .with_chains(|| TokengateChains::start(Form::OneByOne, Lead::Blocking)),
        plain("tokengate-batch", batch, Form::Batch)
            .with_keys(Kept, || Tokengate::start(Form::Batch))
            .with_chains(|| TokengateChains::start(Form::Batch, Lead::Blocking)),
        Entry::chains("tokengate-async", || {
            TokengateChains::start(Form::OneByOne, Lead::Async)
        }),
        plain("tokengate-get-all", BULK, Form::GetAll),
        Entry::new("tokengate-free-routing", Each, &[Waves], || {
            Tokengate::start_free_routing(Form::GetAll)
        }),
        Entry::new("tokengate-mutex", Each, LANES, || {
            Tokengate::start(Form::OneByOne)
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = built_in().into_iter().map(|entry| entry.name).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
