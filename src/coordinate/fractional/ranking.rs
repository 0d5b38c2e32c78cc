//! The k largest of a changing list: two heaps, the k largest with the least of them on top, the
//! others with the largest on top. A change costs O(log n).

/// Numbers, split into the k largest and the rest.
pub struct Ranking {
    keys: Vec<f64>,
    /// Where each number is in its heap.
    place: Vec<usize>,
    top: Vec<bool>,
    /// Heaps of indices: the k largest, the rest.
    heaps: [Vec<usize>; 2],
    /// Sum of the k largest, in two parts: it loses no digits when large numbers shrink.
    sum: [f64; 2],
}

impl Ranking {
    /// `n` zeros, of which `k` are the largest; 1 <= k <= n.
    pub fn new(n: usize, k: usize) -> Self {
        Self {
            keys: vec![0.0; n],
            place: (0..k).chain(0..n - k).collect(),
            top: (0..n).map(|i| i < k).collect(),
            heaps: [(0..k).collect(), (k..n).collect()],
            sum: [0.0; 2],
        }
    }

    /// Replaces all numbers.
    pub fn reset(&mut self, keys: impl Iterator<Item = f64>) {
        for (old, new) in self.keys.iter_mut().zip(keys) {
            *old = new;
        }
        let k = self.heaps[0].len();
        let mut order: Vec<usize> = (0..self.keys.len()).collect();
        // Ties by index: the split is a function of the numbers alone.
        let largest =
            |a: &usize, b: &usize| self.keys[*b].total_cmp(&self.keys[*a]).then_with(|| a.cmp(b));
        order.sort_unstable_by(largest);
        // Sorted lists are heaps.
        self.heaps[0].copy_from_slice(&order[..k]);
        self.heaps[0].reverse();
        self.heaps[1].copy_from_slice(&order[k..]);
        self.sum = [0.0; 2];
        for (heap, top) in [(0, true), (1, false)] {
            for at in 0..self.heaps[heap].len() {
                let i = self.heaps[heap][at];
                self.place[i] = at;
                self.top[i] = top;
                if top {
                    self.add(self.keys[i]);
                }
            }
        }
    }

    /// Sum of the k largest.
    pub fn sum(&self) -> f64 {
        self.sum[0] + self.sum[1]
    }

    /// Without number `i`: sum of the k - 1 largest, and the k-th largest (0 if there is none).
    pub fn others(&self, i: usize) -> (f64, f64) {
        let root = |heap: usize| self.heaps[heap].first().map_or(0.0, |&i| self.keys[i]);
        let (less, next) = if self.top[i] { (self.keys[i], root(1)) } else { (root(0), root(0)) };
        (((self.sum[0] - less) + self.sum[1]).max(0.0), next)
    }

    /// Changes number `i`.
    pub fn set(&mut self, i: usize, key: f64) {
        let old = std::mem::replace(&mut self.keys[i], key);
        let heap = usize::from(!self.top[i]);
        if heap == 0 {
            self.add(key);
            self.add(-old);
        }
        self.sift(heap, self.place[i]);
        let (Some(&low), Some(&high)) = (self.heaps[0].first(), self.heaps[1].first()) else {
            return;
        };
        if self.keys[low] < self.keys[high] {
            self.add(self.keys[high]);
            self.add(-self.keys[low]);
            (self.heaps[0][0], self.heaps[1][0]) = (high, low);
            (self.top[low], self.top[high]) = (false, true);
            (self.place[low], self.place[high]) = (0, 0);
            self.sift(0, 0);
            self.sift(1, 0);
        }
    }

    /// Adds to the sum without losing the rounding error.
    fn add(&mut self, key: f64) {
        let [high, low] = self.sum;
        let sum = high + key;
        let part = sum - high;
        let error = (high - (sum - part)) + (key - part);
        self.sum = [sum, low + error];
    }

    /// Moves the entry at `at` up or down to where it belongs.
    fn sift(&mut self, heap: usize, mut at: usize) {
        let keys = &self.keys;
        // The heap of the largest has its least on top.
        let above =
            |a: usize, b: usize| if heap == 0 { keys[a] < keys[b] } else { keys[a] > keys[b] };
        let items = &mut self.heaps[heap];
        let item = items[at];
        while at > 0 && above(item, items[(at - 1) / 2]) {
            items[at] = items[(at - 1) / 2];
            self.place[items[at]] = at;
            at = (at - 1) / 2;
        }
        loop {
            let left = 2 * at + 1;
            if left >= items.len() {
                break;
            }
            let right = left + 1;
            let child =
                if right < items.len() && above(items[right], items[left]) { right } else { left };
            if !above(items[child], item) {
                break;
            }
            items[at] = items[child];
            self.place[items[at]] = at;
            at = child;
        }
        items[at] = item;
        self.place[item] = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rng::Philox;

    #[test]
    fn agrees_with_sorting_after_every_change() {
        let rng = Philox::new(5);
        for (n, k) in [(1, 1), (2, 1), (5, 5), (7, 3), (40, 11)] {
            let mut keys: Vec<f64> = (0..n).map(|i| rng.uniform(0, i as u64)[0]).collect();
            let mut ranking = Ranking::new(n, k);
            ranking.reset(keys.iter().copied());
            for t in 0..300 {
                let i = rng.below(1, t, n as u64) as usize;
                // Few values, so that there are ties.
                keys[i] = rng.below(2, t, 6) as f64;
                ranking.set(i, keys[i]);
                let mut sorted = keys.clone();
                sorted.sort_by(|a, b| b.total_cmp(a));
                assert!((ranking.sum() - sorted[..k].iter().sum::<f64>()).abs() < 1e-12);
                for i in 0..n {
                    let mut others = keys.clone();
                    others.swap_remove(i);
                    others.sort_by(|a, b| b.total_cmp(a));
                    let (sum, next) = ranking.others(i);
                    assert!((sum - others[..k - 1].iter().sum::<f64>()).abs() < 1e-12);
                    assert_eq!(next, others.get(k - 1).copied().unwrap_or(0.0));
                }
            }
        }
    }

    #[test]
    fn the_sum_keeps_small_numbers_beside_large_ones() {
        let mut ranking = Ranking::new(3, 2);
        ranking.reset([1e16, 1.0, 0.5].into_iter());
        ranking.set(0, 0.25);
        assert_eq!(ranking.sum(), 1.5);
    }
}
