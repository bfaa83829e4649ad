//! The figures that the article "When Stability Improves Performance" gives for its benchmark.
//!
//! The summary shows them beside ours. They were measured elsewhere (8 cores, Python): they are no
//! contender, and no ratio is formed with them.

/// The article's figures of one wave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ArticleWave {
    pub(super) tokens: usize,
    pub(super) tokens_per_s: f64,
    /// Elapsed time over tokens, which the article calls latency.
    pub(super) latency_ms: f64,
    /// Wall time in bodies over elapsed time: our occupancy.
    pub(super) overlap: f64,
}

/// All waves of the article.
pub(super) fn waves() -> Vec<ArticleWave> {
    include_str!("../../../data/article_waves.csv")
        .lines()
        .skip(1)
        .map(|line| parse(line).expect("the table is part of this crate and checked by a test"))
        .collect()
}

fn parse(line: &str) -> Option<ArticleWave> {
    let mut fields = line.split(',').skip(1);
    Some(ArticleWave {
        tokens: fields.next()?.parse().ok()?,
        tokens_per_s: fields.next()?.parse().ok()?,
        latency_ms: fields.next()?.parse().ok()?,
        overlap: fields.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_our_waves() {
        let waves = waves();
        assert_eq!(waves.len(), 15);
        for (index, wave) in waves.iter().enumerate() {
            assert_eq!(wave.tokens, super::super::tokens_of(index));
        }
        assert_eq!(waves[0].overlap, 1.44);
    }
}
