//! What a step asks of the allocator: nothing per element, and no more calls for more tensors.

use allocation_counter::{AllocationInfo, measure};
use thalweg::Result;
use thalweg::engine::tensor::{Tensor, View};
use thalweg::engine::threads;
use thalweg::optim::hyper::{Lookup, Value};
use thalweg::optim::modifiers::Mask;
use thalweg::optim::rule::Info;
use thalweg::optim::{Group, Options, Parameter, RULES, step};

/// No hyperparameter but the defaults.
struct Defaults;

impl Lookup for Defaults {
    fn get(&self, _: &str, _: Option<usize>) -> Result<Option<Value>> {
        Ok(None)
    }
}

/// Allocations of a third step over `count` tensors of `len` elements.
fn allocations(info: &Info, count: usize, len: usize, modified: bool) -> AllocationInfo {
    let mut group = Group::new((info.build)(&Defaults).expect("defaults are valid"));
    if modified {
        group.modifiers.clip_norm = Some(1.0);
        group.modifiers.mask = Some(Mask::Cautious);
    }
    let states = group.rule.states().len();
    let scalars = group.rule.scalars();
    let numbers = || scalars.iter().flat_map(|s| vec![s.start; s.len]).collect();
    let groups = [group];
    let mut memory = vec![vec![vec![0.5f32; len]; 1 + states]; count];
    let gradient = vec![0.25f32; len];
    let options = Options { loss: Some(1.0), ..Options::default() };
    let mut info = AllocationInfo::default();
    for t in 1..=3 {
        let mut parameters: Vec<Parameter<'_>> = memory
            .iter_mut()
            .map(|buffers| {
                let (x, state) = buffers.split_first_mut().expect("a parameter");
                let state = state.iter_mut().map(|buffer| Tensor::from(&mut buffer[..]));
                Parameter::new(0, t, Tensor::from(&mut x[..]), View::from(&gradient[..]), state)
                    .expect("equally long")
                    .scalars(numbers(), false)
            })
            .collect();
        info = measure(|| {
            step(&groups, &mut parameters, &options).expect("a valid step");
        });
    }
    info
}

fn elementwise() -> impl Iterator<Item = &'static Info> {
    let matrix =
        |info: &&Info| (info.build)(&Defaults).expect("defaults are valid").matrix(1, 1).is_some();
    RULES.iter().copied().filter(move |info| !matrix(info))
}

#[test]
fn memory_does_not_grow_with_elements() {
    threads::set(1);
    for info in elementwise() {
        for modified in [false, true] {
            let found = allocations(info, 1, 1 << 20, modified);
            // A table entry for each chunk, of which there are 32, and nothing else.
            assert!(found.bytes_max < 16 << 10, "{}: {found:?}", info.name);
        }
    }
}

#[test]
fn calls_do_not_grow_with_tensors() {
    threads::set(1);
    for info in elementwise() {
        for modified in [false, true] {
            let few = allocations(info, 250, 64, modified);
            let many = allocations(info, 1000, 64, modified);
            // Vectors that grow by doubling may grow twice more. Rules whose formula differs from
            // tensor to tensor make one for each.
            let name = info.name;
            let own = few.count_total >= 250;
            let more = if own { 6 * 750 } else { 8 };
            assert!(many.count_total <= few.count_total + more, "{name}: {few:?} {many:?}");
            assert!(!own || !["sgd", "adam", "adamw", "lion"].contains(&name), "{name}: {few:?}");
            assert!(many.bytes_max < 1000 * 1024, "{}: {many:?}", info.name);
        }
    }
}
