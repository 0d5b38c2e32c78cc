//! Whole steps of the crate: one tensor that fills a cache, and many small ones.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use thalweg::optim::hyper::{Lookup, Value};
use thalweg::optim::{Group, Options, Parameter, RULES, step};

/// Every hyperparameter at its default.
struct Defaults;

impl Lookup for Defaults {
    fn get(&self, _: &str, _: Option<usize>) -> thalweg::engine::Result<Option<Value>> {
        Ok(None)
    }
}

/// Parameter, gradient and two moments of each tensor.
struct Buffers(Vec<[Vec<f32>; 4]>);

impl Buffers {
    fn new(lengths: impl Iterator<Item = usize>) -> Self {
        let values = |n: usize| (0..n).map(|i| (i % 1009) as f32 * 1e-3 - 0.5).collect();
        Self(lengths.map(|n| [values(n), values(n), vec![0.0; n], vec![0.0; n]]).collect())
    }

    fn elements(&self) -> usize {
        self.0.iter().map(|[x, ..]| x.len()).sum()
    }

    fn step(&mut self, groups: &[Group], t: u64) {
        let mut parameters: Vec<Parameter<'_>> = self
            .0
            .iter_mut()
            .map(|[x, g, m, v]| Parameter::new(0, t, x.into(), (&*g).into(), [m.into(), v.into()]))
            .collect::<Result<_, _>>()
            .expect("equal lengths");
        step(groups, &mut parameters, &Options::default()).expect("a step of ordinary numbers");
    }
}

fn adamw(criterion: &mut Criterion) {
    let info = RULES.iter().find(|info| info.name == "adamw").expect("a rule of the registry");
    let groups = [Group::new((info.build)(&Defaults).expect("defaults are in range"))];
    let mut group = criterion.benchmark_group("adamw");
    for (name, lengths) in [("one", vec![1 << 20]), ("small", (0..500).map(length).collect())] {
        let mut buffers = Buffers::new(lengths.into_iter());
        let mut t = 0;
        group.throughput(Throughput::Elements(buffers.elements() as u64));
        group.bench_function(BenchmarkId::new("step", name), |bencher| {
            bencher.iter(|| {
                t += 1;
                buffers.step(&groups, t);
            });
        });
    }
    group.finish();
}

/// 64 to 4096, most of them short.
fn length(index: usize) -> usize {
    64 << (index % 7)
}

criterion_group!(benches, adamw);
criterion_main!(benches);
