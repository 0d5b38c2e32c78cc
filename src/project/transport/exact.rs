//! Exact transport, for small problems and for checks: successive shortest paths.
//!
//! Edmonds and Karp 1972, "Theoretical improvements in algorithmic efficiency for network flow
//! problems", J. ACM 19; Tomizawa 1971. Dijkstra on reduced costs C_ij - f_i - g_j >= 0, an O(n m)
//! search for every augmentation; with unit masses this is the assignment problem in O(n^3).
//!
//! The potentials certify the plan: f_i + g_j <= C_ij, with equality where P_ij > 0.

/// The plan and its potentials. Masses are positive and of equal sums (a rounding is ignored).
pub fn exact(cost: &[f64], a: &[f64], b: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (n, m) = (a.len(), b.len());
    let mut plan = vec![0.0; n * m];
    let mut f = vec![0.0; n];
    let column = |j: usize| (0..n).map(move |i| cost[i * m + j]);
    let mut g: Vec<f64> = (0..m).map(|j| column(j).fold(f64::INFINITY, f64::min)).collect();
    let mut left = a.to_vec();
    let mut open = b.to_vec();
    let dust = 1e-15 * a.iter().sum::<f64>();
    for (source, left) in left.iter_mut().enumerate() {
        while *left > dust {
            let Some((path, length)) = search(cost, &plan, &f, &g, &open, source, dust) else {
                break;
            };
            let Search { rows, columns, parent_row, parent_column, end } = path;
            for i in 0..n {
                f[i] += (length - rows[i]).max(0.0);
            }
            for j in 0..m {
                g[j] -= (length - columns[j]).max(0.0);
            }
            // Along the path: row -> column adds, column -> row takes back.
            let mut amount = left.min(open[end]);
            let mut j = end;
            loop {
                let i = parent_row[j];
                if i == source {
                    break;
                }
                j = parent_column[i];
                amount = amount.min(plan[i * m + j]);
            }
            let mut j = end;
            loop {
                let i = parent_row[j];
                plan[i * m + j] += amount;
                if i == source {
                    break;
                }
                j = parent_column[i];
                plan[i * m + j] -= amount;
            }
            *left -= amount;
            open[end] -= amount;
        }
    }
    (plan, f, g)
}

struct Search {
    rows: Vec<f64>,
    columns: Vec<f64>,
    parent_row: Vec<usize>,
    parent_column: Vec<usize>,
    end: usize,
}

/// Distances from `source` to the nearest column with room, and that distance.
fn search(
    cost: &[f64],
    plan: &[f64],
    f: &[f64],
    g: &[f64],
    open: &[f64],
    source: usize,
    dust: f64,
) -> Option<(Search, f64)> {
    let (n, m) = (f.len(), g.len());
    let far = f64::INFINITY;
    let mut s = Search {
        rows: vec![far; n],
        columns: vec![far; m],
        parent_row: vec![source; m],
        parent_column: vec![0; n],
        end: 0,
    };
    s.rows[source] = 0.0;
    let mut done = vec![false; m];
    let mut fresh = vec![source];
    loop {
        // Rows reached by edges of reduced cost 0 have the distance of their column.
        for i in fresh.drain(..) {
            for j in 0..m {
                let reach = s.rows[i] + (cost[i * m + j] - f[i] - g[j]).max(0.0);
                if !done[j] && reach < s.columns[j] {
                    (s.columns[j], s.parent_row[j]) = (reach, i);
                }
            }
        }
        let next = (0..m).filter(|&j| !done[j] && s.columns[j] < far);
        let j = next.min_by(|&x, &y| s.columns[x].total_cmp(&s.columns[y]))?;
        done[j] = true;
        if open[j] > dust {
            s.end = j;
            let length = s.columns[j];
            return Some((s, length));
        }
        for i in 0..n {
            if plan[i * m + j] > 0.0 && s.columns[j] < s.rows[i] {
                (s.rows[i], s.parent_column[i]) = (s.columns[j], j);
                fresh.push(i);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_certified_by_their_potentials() {
        for (n, m) in [(1, 1), (1, 4), (5, 5), (7, 4), (30, 30)] {
            let cost: Vec<f64> = (0..n * m).map(|k| ((k * 7919) % 101) as f64 * 0.1).collect();
            for kind in 0..2 {
                let a: Vec<f64> =
                    (0..n).map(|i| if kind == 0 { m as f64 } else { 1.0 + i as f64 }).collect();
                let total: f64 = a.iter().sum();
                let b: Vec<f64> = vec![total / m as f64; m];
                let (plan, f, g) = exact(&cost, &a, &b);
                for i in 0..n {
                    let sum: f64 = plan[i * m..(i + 1) * m].iter().sum();
                    assert!((sum - a[i]).abs() <= 1e-12 * total);
                }
                for (k, (&p, &c)) in plan.iter().zip(&cost).enumerate() {
                    let slack = c - f[k / m] - g[k % m];
                    assert!(slack >= -1e-12 && (p == 0.0 || slack <= 1e-12), "{n} {m} {slack}");
                }
                let columns = |j: usize| (0..n).map(|i| plan[i * m + j]).sum::<f64>();
                assert!((0..m).all(|j| (columns(j) - b[j]).abs() <= 1e-12 * total));
            }
        }
    }
}
