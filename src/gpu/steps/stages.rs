//! The passes of a step, in the order of [`crate::optim::step`]: norm, measurement, counting for
//! masks, directions of matrix rules, and the one that moves.

use super::Steps;
use super::pass::{Batch, Prepared, batches};
use super::shader::Frame;
use crate::engine::Result;
use crate::gpu::Call;
use crate::optim::Options;
use crate::optim::formula::{self, Stage};
use crate::optim::modifiers::{Factors, Mask, cautious_scale};
use crate::optim::precision::dither;
use crate::optim::rule::{MAX_MEASURED, Reduce, Scope, Step};

/// Reductions over all gradients.
pub struct Gradients {
    pub norm: f64,
    pub nonfinite: Option<usize>,
}

/// A tensor in a step.
struct Job {
    /// Its number.
    number: usize,
    /// Steps it will have taken, as they are counted.
    clock: u64,
    step: Step,
    factors: Factors,
}

impl Steps {
    fn frame(&self, bank: usize, stage: Option<Stage>) -> Frame {
        let bank = &self.banks[bank];
        let noise = bank.group.rule.noise().is_some() && stage.is_some();
        Frame { states: bank.states, kind: bank.kind, noise, stage }
    }

    /// Tensors of a bank among these, as places in the bank, and their places in the list.
    fn members(&self, bank: usize, numbers: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let ours = numbers.iter().enumerate().filter(|(_, n)| self.tensors[**n].group == bank);
        ours.map(|(place, &number)| (self.tensors[number].place, place)).unzip()
    }

    pub(super) fn gradients(&mut self, active: &[usize]) -> Result<Gradients> {
        let (mut squares, mut bad) = (0.0, None);
        let (expression, reduce) = formula::norm();
        for bank in 0..self.banks.len() {
            let frame = self.frame(bank, None);
            let (tensors, places) = self.members(bank, active);
            let lengths: Vec<usize> =
                places.iter().map(|&place| self.tensors[active[place]].len).collect();
            let mut totals = vec![[0.0; MAX_MEASURED]; tensors.len()];
            let row = |at: usize| (expression.clone(), frame.row(lengths[at], None, &[], &[]));
            for batch in batches(&tensors, row) {
                let bank = &mut self.banks[bank];
                batch.reduce(&self.device, bank, &frame, &reduce, &mut totals)?;
            }
            for (&place, [square, largest, ..]) in places.iter().zip(&totals) {
                squares += square;
                if !largest.is_finite() && bad.is_none() {
                    bad = Some(active[place]);
                }
            }
        }
        Ok(Gradients { norm: squares.sqrt(), nonfinite: bad })
    }

    /// Everything after the norm is known.
    pub(super) fn advance(
        &mut self,
        active: &[usize],
        options: &Options,
        norm: Option<f64>,
    ) -> Result<()> {
        let mut jobs = self.jobs(active, options, norm);
        self.measure(active, &mut jobs)?;
        for job in &mut jobs {
            let bank = &self.banks[self.tensors[job.number].group];
            bank.group.rule.advance(&mut job.step)?;
        }
        self.count(active, &mut jobs)?;
        self.direct(active, &jobs)?;
        self.apply(active, &jobs)?;
        for job in jobs {
            let tensor = &mut self.tensors[job.number];
            tensor.clock = job.clock;
            tensor.fresh = false;
            tensor.scalars = job.step.scalars;
        }
        Ok(())
    }

    fn jobs(&self, active: &[usize], options: &Options, norm: Option<f64>) -> Vec<Job> {
        let place = |number: usize| {
            let tensor = &self.tensors[number];
            let counts = self.banks[tensor.group].group.rule.info().counts;
            let clock = tensor.clock + u64::from(self.counted[tensor.group]);
            let t = match (counts, tensor.fresh) {
                (true, _) => clock,
                (false, true) => 1,
                (false, false) => 2,
            };
            (clock, t)
        };
        let call = active.iter().map(|&number| place(number).1).max().unwrap_or(0);
        let job = |&number: &usize| {
            let (tensor, (clock, t)) = (&self.tensors[number], place(number));
            let [scalars, before] = [tensor.scalars.clone(), tensor.scalars.clone()];
            let step = Step { t, call, scalars, before, ..Step::default() };
            let (step, factors) = self.banks[tensor.group].group.begin(step, options, norm);
            Job { number, clock, step, factors }
        };
        active.iter().map(job).collect()
    }

    fn measure(&mut self, active: &[usize], jobs: &mut [Job]) -> Result<()> {
        for bank in 0..self.banks.len() {
            let frame = self.frame(bank, None);
            let (tensors, places) = self.members(bank, active);
            let mut reduce: Vec<Reduce> = vec![];
            let rule = &*self.banks[bank].group.rule;
            if rule.measured().is_none() || tensors.is_empty() {
                continue;
            }
            let shared = rule.scope() == Scope::Call;
            let batches = batches(&tensors, |at| {
                let job = &jobs[places[at]];
                // Measured, as was just asked.
                let (expression, kinds) = formula::measure(rule, &job.factors).unwrap_or_default();
                reduce = kinds;
                let len = self.tensors[job.number].len;
                let row = frame.row(len, None, &[], &expression.uniforms);
                (expression, row)
            });
            let mut totals = vec![[0.0; MAX_MEASURED]; tensors.len()];
            for batch in &batches {
                let bank = &mut self.banks[bank];
                batch.reduce(&self.device, bank, &frame, &reduce, &mut totals)?;
            }
            if shared {
                let mut all = [0.0; MAX_MEASURED];
                for own in &totals {
                    let folded = reduce.iter().zip(&mut all).zip(own);
                    folded.for_each(|((kind, total), &value)| kind.fold(total, value));
                }
                totals.fill(all);
            }
            for (&place, own) in places.iter().zip(totals) {
                jobs[place].step.measured = own;
            }
        }
        Ok(())
    }

    fn count(&mut self, active: &[usize], jobs: &mut [Job]) -> Result<()> {
        for bank in 0..self.banks.len() {
            let modifiers = self.banks[bank].group.modifiers;
            let (tensors, places) = self.members(bank, active);
            if modifiers.mask != Some(Mask::Cautious) || tensors.is_empty() {
                continue;
            }
            let frame = self.frame(bank, Some(Stage::Agree));
            let batches = self.batches(bank, &frame, &tensors, &places, jobs);
            let mut totals = vec![[0.0; MAX_MEASURED]; tensors.len()];
            for batch in &batches {
                let bank = &mut self.banks[bank];
                batch.reduce(&self.device, bank, &frame, &[Reduce::Sum], &mut totals)?;
            }
            for (&place, own) in places.iter().zip(totals) {
                let len = self.tensors[jobs[place].number].len;
                let scale = cautious_scale(modifiers.mask_scale, own[0] as u64, len);
                jobs[place].factors.mask_scale = scale;
            }
        }
        Ok(())
    }

    /// Fills the directions of matrix rules and orthogonalizes them.
    fn direct(&mut self, active: &[usize], jobs: &[Job]) -> Result<()> {
        for bank in 0..self.banks.len() {
            let (tensors, places) = self.members(bank, active);
            if tensors.is_empty() || self.banks[bank].group.rule.matrix(1, 1).is_none() {
                continue;
            }
            let frame = self.frame(bank, Some(Stage::Direction));
            let batches = self.batches(bank, &frame, &tensors, &places, jobs);
            let mut prepared = vec![];
            for batch in &batches {
                prepared.extend(batch.prepare(&self.device, &mut self.banks[bank], &frame, &[])?);
            }
            let calls: Vec<Call<'_>> = prepared.iter().map(Prepared::call).collect();
            self.device.run(&calls)?;
            for (&tensor, &place) in tensors.iter().zip(&places) {
                let shape = self.tensors[jobs[place].number].shape;
                super::matrix::orthogonalize(&self.device, &self.banks[bank], tensor, shape)?;
            }
        }
        Ok(())
    }

    fn apply(&mut self, active: &[usize], jobs: &[Job]) -> Result<()> {
        let mut prepared = vec![];
        for bank in 0..self.banks.len() {
            let (tensors, places) = self.members(bank, active);
            let matrix = self.banks[bank].group.rule.matrix(1, 1).is_some();
            let stage = if matrix { Stage::Move } else { Stage::Update };
            let frame = self.frame(bank, Some(stage));
            for batch in self.batches(bank, &frame, &tensors, &places, jobs) {
                prepared.extend(batch.prepare(&self.device, &mut self.banks[bank], &frame, &[])?);
            }
        }
        // All at once, so that nothing is written unless everything is ready.
        let calls: Vec<Call<'_>> = prepared.iter().map(Prepared::call).collect();
        self.device.run(&calls)
    }

    fn batches(
        &self,
        bank: usize,
        frame: &Frame,
        tensors: &[usize],
        places: &[usize],
        jobs: &[Job],
    ) -> Vec<Batch> {
        let Some(stage) = frame.stage else { return vec![] };
        let rule = &*self.banks[bank].group.rule;
        let seed = rule.noise();
        let mut last: Option<(usize, crate::engine::trace::Expression)> = None;
        batches(tensors, |at| {
            let job = &jobs[places[at]];
            let tensor = &self.tensors[job.number];
            let [rows, columns] = tensor.shape.unwrap_or([1, 1]);
            let scale = match stage {
                Stage::Move => rule.matrix(rows, columns).map(|(_, factor)| factor),
                _ => None,
            };
            let expression = match &last {
                Some((known, expression)) if scale.is_none() && same(&jobs[*known], job) => {
                    expression.clone()
                }
                _ => formula::record(rule, &job.step, &job.factors, stage, scale),
            };
            let number = job.number as u64;
            let noise = seed.map(|seed| (seed, number << 40 | job.step.t));
            let dithers: Vec<[u32; 2]> = match frame.dithered() {
                true => {
                    (0..frame.states).map(|k| dither(job.number, 1 + k, job.clock).key()).collect()
                }
                false => vec![],
            };
            let row = frame.row(tensor.len, noise, &dithers, &expression.uniforms);
            last = Some((places[at], expression.clone()));
            (expression, row)
        })
    }
}

/// Whether two tensors of a group share their formula, uniforms included. Losses are the same in
/// one call.
fn same(a: &Job, b: &Job) -> bool {
    let bits = |numbers: &[f64]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let key = |job: &Job| {
        let Step { t, measured, scalars, before, own_decay, .. } = &job.step;
        (*t, bits(measured), bits(scalars), bits(before), *own_decay)
    };
    a.factors == b.factors && key(a) == key(b)
}
