//! Optimizer steps on a device: parameters and states live there.
//!
//! One dispatch steps all tensors of a group, whatever their number (one for each segment of
//! 128 MiB or what the adapter binds at once). What a step needs to know first, norms and what a
//! rule measures, is reduced on the device and read back, so only such steps wait for it.

mod bank;
mod layout;
mod matrix;
mod noise;
mod pass;
mod reduce;
mod shader;
mod stages;
mod storage;

use bank::Bank;
pub use bank::Column;

use crate::engine::{Error, Result};
use crate::gpu::Device;
use crate::optim::modifiers::OnNonfinite;
use crate::optim::precision::Precision;
use crate::optim::rule::Scope;
use crate::optim::{Group, Options, Report};
use std::sync::Arc;

/// One tensor, without its memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its group.
    pub group: usize,
    /// Its number in the group.
    place: usize,
    /// Elements.
    pub len: usize,
    /// Rows and columns, for a matrix.
    pub shape: Option<[usize; 2]>,
    /// Steps that were counted.
    pub clock: u64,
    /// Whether it was never stepped.
    pub fresh: bool,
    /// The scalars of its rule.
    pub scalars: Vec<f64>,
}

/// What [`Steps::new`] makes a group of.
pub struct Members {
    /// The rule and its modifiers.
    pub group: Group,
    /// How states are stored.
    pub precision: Precision,
    /// Elements of each tensor, and rows and columns of those that are matrices.
    pub tensors: Vec<(usize, Option<[usize; 2]>)>,
}

/// Parameters and states on a device.
pub struct Steps {
    device: Arc<Device>,
    banks: Vec<Bank>,
    tensors: Vec<Tensor>,
    counted: Vec<bool>,
}

impl Steps {
    /// Memory for the tensors of all groups, numbered one group after the other. All are zeros.
    ///
    /// # Errors
    /// [`Error::Value`] for a tensor that is too large or, with a matrix rule, no matrix;
    /// [`Error::Unsupported`] for sums over filters and signs of updates; [`Error::Memory`] or
    /// [`Error::Device`].
    pub fn new(device: Arc<Device>, groups: Vec<Members>) -> Result<Self> {
        let (mut banks, mut tensors, mut counted) = (vec![], vec![], vec![]);
        for (number, Members { group, precision, tensors: members }) in
            groups.into_iter().enumerate()
        {
            supported(&group)?;
            let scalars: Vec<f64> =
                group.rule.scalars().iter().flat_map(|s| vec![s.start; s.len]).collect();
            for (place, &(len, shape)) in members.iter().enumerate() {
                let [rows, columns] = shape.unwrap_or([1, 1]);
                if group.rule.matrix(rows, columns).is_some() && shape.is_none() {
                    return Err(Error::value(
                        format!("each parameter of {}", group.rule.info().class),
                        "a matrix",
                        format!("{len} elements on one axis"),
                        "give other parameters to another optimizer, such as AdamW",
                    ));
                }
                let scalars = scalars.clone();
                tensors.push(Tensor {
                    group: number,
                    place,
                    len,
                    shape,
                    clock: 0,
                    fresh: true,
                    scalars,
                });
            }
            counted.push(group.rule.info().counts || precision.is_random());
            let lengths = members.iter().map(|member| member.0).collect();
            banks.push(Bank::new(&device, group, precision, lengths)?);
        }
        Ok(Self { device, banks, tensors, counted })
    }

    /// Where it runs.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The tensors.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// A tensor, whose counters may be set to resume.
    pub fn tensor_mut(&mut self, number: usize) -> &mut Tensor {
        &mut self.tensors[number]
    }

    /// Replaces rule and modifiers of a group.
    ///
    /// # Errors
    /// [`Error::Value`] if the states would be others, [`Error::Unsupported`] as [`Steps::new`].
    pub fn set_group(&mut self, number: usize, group: Group) -> Result<()> {
        supported(&group)?;
        let bank = &mut self.banks[number];
        let names = |group: &Group| -> Vec<&str> {
            group.rule.states().iter().map(|state| state.name).collect()
        };
        let scalars = |group: &Group| -> Vec<usize> {
            group.rule.scalars().iter().map(|scalar| scalar.len).collect()
        };
        let (old, new) = (names(&bank.group), names(&group));
        if old != new || scalars(&bank.group) != scalars(&group) {
            return Err(Error::value(
                "the states under these hyperparameters",
                format!("those on the device, {old:?}"),
                format!("{new:?}"),
                "make a new object",
            ));
        }
        bank.group = group;
        Ok(())
    }

    /// Number of states of a tensor.
    pub fn states(&self, number: usize) -> usize {
        self.banks[self.tensors[number].group].states
    }

    /// Bytes that a column of a tensor has.
    pub fn column_bytes(&self, number: usize, column: Column) -> usize {
        let tensor = &self.tensors[number];
        self.banks[tensor.group].column_bytes(tensor.place, column)
    }

    /// Writes a column of a tensor.
    ///
    /// # Errors
    /// [`Error::Device`] or [`Error::Memory`].
    pub fn write(&self, number: usize, column: Column, values: &[u8]) -> Result<()> {
        let tensor = &self.tensors[number];
        self.banks[tensor.group].write(&self.device, tensor.place, column, values)
    }

    /// Reads a column of a tensor, once all steps are done.
    ///
    /// # Errors
    /// [`Error::Device`] or [`Error::Memory`].
    pub fn read(&self, number: usize, column: Column, out: &mut [u8]) -> Result<()> {
        let tensor = &self.tensors[number];
        self.banks[tensor.group].read(&self.device, tensor.place, column, out)
    }

    /// Steps these tensors with the gradients that lie on the device.
    ///
    /// # Errors
    /// [`Error::NonFinite`] where the policy asks for it, what a rule refuses; parameters and
    /// states are then as before. [`Error::Memory`], also with nothing changed; [`Error::Device`],
    /// after which they are lost.
    pub fn step(&mut self, active: &[usize], options: &Options) -> Result<Report> {
        self.device.check()?;
        let mut report = Report::default();
        let clips = self.banks.iter().any(|bank| bank.group.modifiers.clip_norm.is_some());
        if clips || options.on_nonfinite != OnNonfinite::Propagate {
            let gradients = self.gradients(active)?;
            if let Some(number) = gradients.nonfinite {
                match options.on_nonfinite {
                    OnNonfinite::Propagate => {}
                    OnNonfinite::Skip => return Ok(Report { skipped: true, ..report }),
                    OnNonfinite::Raise => {
                        return Err(Error::NonFinite {
                            name: format!("grad of parameter {number}"),
                            fix: "lower the learning rate, clip, or pass on_nonfinite=\"skip\""
                                .into(),
                        });
                    }
                }
            }
            report.grad_norm = clips.then(|| gradients.norm / options.grad_scale.abs());
        }
        self.advance(active, options, report.grad_norm)?;
        Ok(report)
    }
}

/// Whether all of it runs on a device.
fn supported(group: &Group) -> Result<()> {
    let what = if group.rule.scope() == Scope::Filter {
        format!("{} with sums over the filters of a tensor, on a device,", group.rule.info().class)
    } else if group.modifiers.update_sign.is_some() {
        "update_sign on a device".into()
    } else {
        return Ok(());
    };
    Err(Error::Unsupported { what, fix: "step on the host, with thalweg.steps".into() })
}
