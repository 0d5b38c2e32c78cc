# Written by `make stubs`; do not edit.

from thalweg.optim.adadelta import Adadelta as Adadelta
from thalweg.optim.adagrad import Adagrad as Adagrad
from thalweg.optim.adam import Adam as Adam
from thalweg.optim.adamax import Adamax as Adamax
from thalweg.optim.adamomentum import AdaMomentum as AdaMomentum
from thalweg.optim.adamw import AdamW as AdamW
from thalweg.optim.adaptivebraking import AdaptiveBraking as AdaptiveBraking
from thalweg.optim.ademamix import AdEMAMix as AdEMAMix
from thalweg.optim.aegd import AEGD as AEGD
from thalweg.optim.classp import CLASSP as CLASSP
from thalweg.optim.dalelangevin import DaleLangevin as DaleLangevin
from thalweg.optim.diffgrad import DiffGrad as DiffGrad
from thalweg.optim.exponentiatedgradient import ExponentiatedGradient as ExponentiatedGradient
from thalweg.optim.grams import Grams as Grams
from thalweg.optim.gravity import Gravity as Gravity
from thalweg.optim.lion import Lion as Lion
from thalweg.optim.muon import Muon as Muon
from thalweg.optim.nadam import NAdam as NAdam
from thalweg.optim.optimisticamsgrad import OptimisticAMSGrad as OptimisticAMSGrad
from thalweg.optim.optimizer import Optimizer as Optimizer
from thalweg.optim.radam import RAdam as RAdam
from thalweg.optim.randomscalingsgd import RandomScalingSGD as RandomScalingSGD
from thalweg.optim.rmsprop import RMSprop as RMSprop
from thalweg.optim.schedulefreeadamw import ScheduleFreeAdamW as ScheduleFreeAdamW
from thalweg.optim.sgd import SGD as SGD
from thalweg.optim.triplemomentum import TripleMomentum as TripleMomentum
