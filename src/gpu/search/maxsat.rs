//! MAX-SAT on a device: costs of many assignments, gains of all flips, changes by probes.
//!
//! The clauses stay on the device. Weights are 64-bit integers in two words, so every cost is the
//! one of [`cpu::MaxSat`], exactly.

use crate::engine::{Result, threads};
use crate::gpu::buffer::Buffer;
use crate::gpu::device::Device;
use crate::gpu::kernel::{fits, launch, launch_grid};
use crate::search::objectives::maxsat::{self as cpu, blocks};
use std::sync::Arc;

const CLAUSES: &str = include_str!("maxsat.wgsl");
const ROWS: &str = include_str!("maxsat_rows.wgsl");
const TRUTHS: &str = include_str!("maxsat_truths.wgsl");
const GAINS: &str = include_str!("maxsat_gains.wgsl");
const PROBE: &str = include_str!("maxsat_probe.wgsl");

/// Most spans that the clauses of a row are cut into; a span has at least so many clauses.
const SPANS: [usize; 2] = [64, 1024];
/// Bytes of assignments that are packed at once.
const PIECE: u64 = 16 << 20;
const FIX: &str = "split the problem, or search it on the CPU";

/// A clause set on a device.
pub struct MaxSat {
    device: Arc<Device>,
    problem: Arc<cpu::MaxSat>,
    constants: String,
    literals: Buffer,
    clauses: Buffer,
    // The clauses that hold each literal, and where they start; absent until a probe asks.
    occurrences: [Buffer; 2],
}

impl MaxSat {
    /// Copies the clauses to a device.
    ///
    /// # Errors
    /// [`crate::Error::Value`] if an array does not fit a binding, or what the device says.
    pub fn new(device: Arc<Device>, problem: Arc<cpu::MaxSat>) -> Result<Self> {
        let tables = problem.tables();
        let [literals, offsets, occurrences, starts] = tables;
        let weights = if problem.weights().is_some() { 2 * problem.listed() } else { 0 };
        let width = problem.width();
        let mut clauses = if width.is_some() { Vec::new() } else { offsets.to_vec() };
        let words = 4 * (clauses.len() + weights) as u64;
        let largest = [literals, occurrences, starts].map(|x| 4 * x.len() as u64);
        for (name, bytes) in ["the literals", "the literals", "the variables"].iter().zip(largest) {
            fits(&device, name, bytes, FIX)?;
        }
        fits(&device, "the weights", words, FIX)?;
        fits(&device, "the clauses", 4 * (words_of(&problem) + problem.listed()) as u64, FIX)?;
        for &weight in problem.weights().unwrap_or_default() {
            clauses.extend([weight as u32, (weight >> 32) as u32]);
        }
        let constants = format!(
            "const WIDTH = {}u;\nconst WEIGHTED = {};\n",
            width.unwrap_or(0),
            problem.weights().is_some()
        );
        let literals = device.upload(literals)?;
        let clauses = device.upload(&clauses)?;
        let occurrences = [device.upload(occurrences)?, device.upload(starts)?];
        Ok(Self { device, problem, constants, literals, clauses, occurrences })
    }

    /// Costs of `count` rows of `assignments`, each of as many values as there are variables.
    ///
    /// # Errors
    /// What the device says.
    pub fn evaluate(&self, assignments: &[bool], count: usize) -> Result<Vec<i64>> {
        let (device, listed) = (&self.device, self.problem.listed());
        let (variables, constant) = (self.problem.variables(), self.problem.constant());
        if listed == 0 {
            return Ok(vec![constant; count]);
        }
        let words = words_of(&self.problem);
        let span = listed.div_ceil(SPANS[0]).max(SPANS[1]);
        let spans = listed.div_ceil(span);
        let source = format!("{}{CLAUSES}{ROWS}", self.constants);
        let bytes = device.largest().min(PIECE);
        let most = (bytes / (4 * words.max(2 * spans)) as u64).clamp(1, 65_535) as usize;
        let mut costs = Vec::with_capacity(count);
        for rows in assignments.chunks(most * variables) {
            let count = rows.len() / variables;
            let bits = device.upload(&pack(rows, variables))?;
            let sums = device.buffer(8 * (count * spans) as u64)?;
            let params = device.upload(&[listed, words, count, spans, span].map(|x| x as u32))?;
            let buffers =
                [(0, &params), (1, &self.literals), (2, &self.clauses), (3, &bits), (4, &sums)];
            launch_grid(device, &source, &buffers, [spans as u32, count as u32, 1])?;
            let mut parts = vec![[0u32; 2]; count * spans];
            device.read(&sums, 0, &mut parts)?;
            let rows = parts.chunks_exact(spans);
            costs.extend(rows.map(|row| constant + row.iter().map(integer).sum::<i64>()));
        }
        Ok(costs)
    }

    /// Change of the cost by flipping each variable alone.
    ///
    /// # Errors
    /// An assignment of another length, or what the device says.
    pub fn gains(&self, assignment: &[bool]) -> Result<Vec<i64>> {
        let state = self.state(assignment)?;
        let variables = self.problem.variables();
        let out = self.device.buffer(8 * variables as u64)?;
        let [occurrences, starts] = &self.occurrences;
        let source = format!("{}{CLAUSES}{GAINS}", self.constants);
        let buffers = [(2, &self.clauses), (3, &state), (4, occurrences), (5, starts), (6, &out)];
        self.each(&source, &buffers, variables, 256)?;
        self.integers(&out, variables)
    }

    /// Changes of the cost by probes, probe i flipping `variables[offsets[i]..offsets[i + 1]]`.
    ///
    /// # Errors
    /// As [`blocks::probe_all`], [`crate::Error::Value`] for more than a binding holds, or what the
    /// device says.
    pub fn probe(
        &self,
        assignment: &[bool],
        variables: &[u32],
        offsets: &[usize],
    ) -> Result<Vec<i64>> {
        blocks::check_all(&self.problem, variables, offsets)?;
        let count = offsets.len().saturating_sub(1);
        let fix = "probe in several calls";
        fits(&self.device, "flips", 4 * (offsets.len() + variables.len()) as u64, fix)?;
        fits(&self.device, "the changes", 8 * count as u64, fix)?;
        let state = self.state(assignment)?;
        let flips: Vec<u32> =
            offsets.iter().map(|&o| o as u32).chain(variables.iter().copied()).collect();
        let flips = self.device.upload(&flips)?;
        let out = self.device.buffer(8 * count as u64)?;
        let [occurrences, starts] = &self.occurrences;
        let source = format!("{}{CLAUSES}{PROBE}", self.constants);
        let buffers = [
            (1, &self.literals),
            (2, &self.clauses),
            (3, &state),
            (4, occurrences),
            (5, starts),
            (6, &flips),
            (7, &out),
        ];
        self.each(&source, &buffers, count, 64)?;
        self.integers(&out, count)
    }

    /// The bits of an assignment, and how many literals of each clause are true.
    fn state(&self, assignment: &[bool]) -> Result<Buffer> {
        self.problem.check_length(assignment.len())?;
        let listed = self.problem.listed();
        let state = self.device.buffer(4 * (words_of(&self.problem) + listed) as u64)?;
        self.device.write(&state, 0, &pack(assignment, self.problem.variables()))?;
        let source = format!("{}{CLAUSES}{TRUTHS}", self.constants);
        let buffers = [(1, &self.literals), (2, &self.clauses), (3, &state)];
        self.each(&source, &buffers, listed, 256)?;
        Ok(state)
    }

    /// Runs a thread an item.
    fn each(
        &self,
        source: &str,
        buffers: &[(u32, &Buffer)],
        count: usize,
        threads: usize,
    ) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        let groups = count.div_ceil(threads) as u64;
        let wide = self.device.grid(groups)?[0] as usize * threads;
        let words = [self.problem.listed(), words_of(&self.problem), wide, count];
        let params = self.device.upload(&words.map(|x| x as u32))?;
        let mut all = vec![(0, &params)];
        all.extend_from_slice(buffers);
        launch(&self.device, source, &all, groups)
    }

    fn integers(&self, buffer: &Buffer, count: usize) -> Result<Vec<i64>> {
        let mut words = vec![[0u32; 2]; count];
        self.device.read(buffer, 0, &mut words)?;
        Ok(words.iter().map(integer).collect())
    }
}

fn integer(&[low, high]: &[u32; 2]) -> i64 {
    i64::from(low) | i64::from(high as i32) << 32
}

fn words_of(problem: &cpu::MaxSat) -> usize {
    problem.variables().div_ceil(32).max(1)
}

/// Rows of bits, 32 variables a word.
fn pack(rows: &[bool], variables: usize) -> Vec<u32> {
    let words = variables.div_ceil(32).max(1);
    let mut out = vec![0; rows.len() / variables.max(1) * words];
    threads::for_each_chunk(&mut out, words, |row, out| {
        let row = &rows[row * variables..(row + 1) * variables];
        for (word, bits) in out.iter_mut().zip(row.chunks(32)) {
            *word = bits.iter().rev().fold(0, |word, &bit| word << 1 | u32::from(bit));
        }
    });
    out
}
