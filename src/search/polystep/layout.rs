//! Which coordinates move together.
//!
//! A solution of d coordinates falls into groups (one, or one a layer), a group into blocks of p
//! consecutive coordinates, the last padded with zeros that no cost depends on. A group has its
//! own polytope, its own scale of costs and its own transport problem.

use super::template::Template;
use std::ops::Range;

/// One block of one solution.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Which solution.
    pub point: usize,
    /// Its coordinates; fewer than p where padding follows.
    pub span: Range<usize>,
}

/// Blocks that share a polytope.
#[derive(Debug, Clone)]
pub struct Group {
    /// Dimension of the polytope.
    pub p: usize,
    /// Number of vertices.
    pub count: usize,
    /// The vertices of the template.
    pub vertices: Vec<f64>,
    /// Its blocks, in the order of their costs.
    pub rows: Vec<Row>,
    /// First row among all groups.
    pub first: usize,
    /// Where its rotations start.
    pub rotations: usize,
    /// Where its costs start, among one cost for each vertex.
    pub costs: usize,
}

/// All groups, in the order of the coordinates.
pub fn groups(dim: usize, points: usize, ends: &[usize], p: usize, shape: Template) -> Vec<Group> {
    let mut out = Vec::new();
    let (mut start, mut first, mut rotations, mut costs) = (0, 0, 0, 0);
    for &end in ends.iter().chain((ends.last() != Some(&dim)).then_some(&dim)) {
        let p = p.min(end - start);
        let rows: Vec<Row> = (0..points)
            .flat_map(|point| {
                (start..end).step_by(p).map(move |a| Row { point, span: a..end.min(a + p) })
            })
            .collect();
        let (n, count) = (rows.len(), shape.count(p));
        let vertices = shape.vertices(p);
        out.push(Group { p, count, vertices, rows, first, rotations, costs });
        (start, first, rotations, costs) =
            (end, first + n, rotations + n * p * p, costs + n * count);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_every_coordinate_once() {
        let groups = groups(11, 2, &[5, 6], 2, Template::Orthoplex);
        assert_eq!(groups.iter().map(|g| g.p).collect::<Vec<_>>(), [2, 1, 2]);
        for point in 0..2 {
            let mut seen = vec![0; 11];
            for row in groups.iter().flat_map(|g| &g.rows).filter(|r| r.point == point) {
                row.span.clone().for_each(|i| seen[i] += 1);
            }
            assert_eq!(seen, [1; 11]);
        }
        assert_eq!(groups[2].first, 8);
        assert_eq!((groups[2].rotations, groups[2].costs), (6 * 4 + 2, 6 * 4 + 2 * 2));
    }
}
