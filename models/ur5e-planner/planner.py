"""The planner: a forecast of the part, the joints that keep the tool on it, and a calm way back to them.

The forecast is learned: 28-256-256-32 with ELU, float32 numpy, from the part and its track to what its next 1.18 s differ
from straight on, as weights of principal components. The rest is known: the arm's inverse kinematics in closed form,
since the tool points straight down, and a critically damped return of each joint. All of it is one ONNX graph.
"""

import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from ride import HERE, LAGS_MS, STEP_MS, STEPS

sys.path.append(str(HERE.parent / "ur5e-conveyor"))
from network import Adam, elu, finished, one_cycle  # noqa: E402

SEEN, COMPONENTS = 4 + 2 * len(LAGS_MS), 32
SIZES = [SEEN, 256, 256, COMPONENTS]
SURE_S = 0.5  # later steps count less
BACK = 20.0  # rad/s: how fast a joint comes back, critically damped

TIMES_S = np.arange(STEPS) * STEP_MS / 1000
# The arm of ../ur5e-conveyor/arm.xml in m: its links, and the tool's target over the shoulder.
UPPER_M, FOREARM_M, ASIDE_M, ALONG_M = 0.425, 0.3922, 0.1333, 0.0997
LIFTED_M = 0.2 + 0.0996 + 0.08 - 0.1625

# The range of model.toml: a plan that leaves it is none, so the graph keeps to it.
LOWEST = np.array([-2.0, -2.6, 0.2, -3.2, -2.6, -2.0] + [-3.14] * 6)
HIGHEST = np.array([1.2, -0.2, 2.9, -0.6, -0.6, 1.2] + [3.14] * 6)


class Planner:
    def __init__(self, rng):
        self.params = []
        for inputs, outputs in zip(SIZES, SIZES[1:]):
            bound = inputs**-0.5
            self.params.append(rng.uniform(-bound, bound, (outputs, inputs)).astype(np.float32))
            self.params.append(rng.uniform(-bound, bound, outputs).astype(np.float32))

    def fit(self, seen, places, rng, epochs, tell, peak_rate=3e-3, batch=1024):
        inputs = (seen @ relative().T).astype(np.float32)
        self.mean, self.spread = inputs.mean(0), inputs.std(0) + np.float32(1e-4)
        inputs = (inputs - self.mean) / self.spread
        straight = seen @ straight_on().T
        bend = (places.reshape(len(places), -1) - straight) * sure()
        self.middle = bend.mean(0)
        values, vectors = np.linalg.eigh(np.cov(bend - self.middle, rowvar=False))
        self.basis = vectors[:, ::-1][:, :COMPONENTS].astype(np.float32)
        wanted = ((bend - self.middle) @ self.basis).astype(np.float32)
        self.unit = wanted.std(0)
        wanted, price = wanted / self.unit, self.unit / self.unit.max()
        tell(f"{COMPONENTS} components leave {np.sqrt(values[:-COMPONENTS].clip(0).sum() / values.sum()):.5f}")
        adam, batches = Adam(self.params), len(inputs) // batch
        for epoch in range(epochs):
            order, losses = rng.permutation(len(inputs)), []
            for k in range(batches):
                pick = order[k * batch:(k + 1) * batch]
                loss, down = slopes(self.params, inputs[pick], wanted[pick], price)
                adam.step(down, peak_rate * one_cycle((epoch * batches + k) / (epochs * batches)))
                losses.append(loss)
            if epoch % 5 == 4:
                tell(f"epoch {epoch + 1} of {epochs}: loss {np.mean(losses):.3e}")

    def folded(self):
        """The parameters with what comes before and after multiplied in, over the whole observation."""
        params = [p.astype(np.float64) for p in self.params]
        params[0] = params[0] / self.spread
        params[1] = params[1] - params[0] @ self.mean
        params[0] = params[0] @ relative() @ seen_of_observation()
        params[-2], params[-1] = params[-2] * self.unit[:, None], params[-1] * self.unit
        return params, self.basis / sure()[:, None], self.middle / sure()

    def to_onnx(self, note):
        params, basis, middle = self.folded()
        build = Graph()
        last = "observation"
        for k in range(len(SIZES) - 1):
            last = build.add("Gemm", [last, build.constant(params[2 * k]), build.constant(params[2 * k + 1])], transB=1)
            if k < len(SIZES) - 2:
                last = build.add("Elu", [last])
        bend = build.add("Gemm", [last, build.constant(basis), build.constant(middle)], transB=1)
        straight = build.add("MatMul", ["observation", build.constant((straight_on() @ seen_of_observation()).T)])
        places = build.add("Reshape", [build.add("Add", [straight, bend]), build.integers([STEPS, 2])])
        joints = build.joints(places)
        rates = build.add("MatMul", [build.constant(differences()), joints])
        build.way_back(joints, rates)
        graph = helper.make_graph(
            build.nodes, "ur5e-planner",
            [helper.make_tensor_value_info("observation", TensorProto.FLOAT, [1, 12 + SEEN])],
            [helper.make_tensor_value_info("plan", TensorProto.FLOAT, [1, STEPS, 12])],
            build.constants,
        )
        return finished(graph, note)


class Graph:
    """Nodes in order, each with one output of its own name."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, value, kind=np.float32):
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def integers(self, value):
        return self.constant(value, np.int64)

    def add(self, kind, inputs, output=None, **attributes):
        output = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def part(self, tensor, start, end, axis):
        edges = [self.integers([number]) for number in (start, end, axis)]
        return self.add("Slice", [tensor, *edges])

    def of(self, kind, *inputs, **attributes):
        """A node of tensors and plain numbers."""
        inputs = [self.constant(one) if isinstance(one, float) else one for one in inputs]
        return self.add(kind, inputs, **attributes)

    def joints(self, places):
        """Positions [steps, 6] with the tool straight down on places [steps, 2]. Finite wherever the places are."""
        x = self.of("Max", self.part(places, 0, 1, 1), 0.05)
        y = self.part(places, 1, 2, 1)
        far2 = self.of("Add", self.of("Mul", x, x), self.of("Mul", y, y))
        reach = self.of("Sqrt", self.of("Max", self.of("Sub", far2, ASIDE_M**2), 1e-4))
        pan = self.of("Sub", self.of("Atan", self.of("Div", y, x)), self.of("Atan", self.of("Div", ASIDE_M, reach)))
        reach = self.of("Max", self.of("Sub", reach, ALONG_M), 0.01)
        line2 = self.of("Add", self.of("Mul", reach, reach), LIFTED_M**2)
        cosine = self.of("Div", self.of("Sub", line2, UPPER_M**2 + FOREARM_M**2), 2 * UPPER_M * FOREARM_M)
        cosine = self.of("Min", self.of("Max", cosine, -0.999), 0.999)
        elbow = self.of("Acos", cosine)
        inner = self.of("Div", self.of("Mul", self.of("Sin", elbow), FOREARM_M),
                        self.of("Add", self.of("Mul", cosine, FOREARM_M), UPPER_M))
        up = self.of("Atan", self.of("Div", LIFTED_M, reach))
        lift = self.of("Neg", self.of("Add", up, self.of("Atan", inner)))
        wrist = self.of("Sub", -np.pi / 2, self.of("Add", lift, elbow))
        level = self.constant(np.full((STEPS, 1), -np.pi / 2))
        return self.add("Concat", [pan, lift, elbow, wrist, level, pan], axis=1)

    def way_back(self, joints, rates):
        """The plan: from the joints as they are to those that are wanted."""
        t_s, decay = TIMES_S[:, None], np.exp(-BACK * TIMES_S)[:, None]
        position, velocity = self.part("observation", 0, 6, 1), self.part("observation", 6, 12, 1)
        off = self.of("Sub", position, self.part(joints, 0, 1, 0))
        fast = self.of("Add", self.of("Sub", velocity, self.part(rates, 0, 1, 0)), self.of("Mul", off, BACK))
        weigh = lambda one, other: self.of("Add", self.of("MatMul", self.constant(one), off),
                                           self.of("MatMul", self.constant(other), fast))
        positions = self.of("Add", joints, weigh(decay, t_s * decay))
        velocities = self.of("Add", rates, weigh(-BACK * decay, (1 - BACK * t_s) * decay))
        both = self.add("Concat", [positions, velocities], axis=1)
        both = self.of("Min", self.of("Max", both, self.constant(LOWEST)), self.constant(HIGHEST))
        self.add("Reshape", [both, self.integers([1, STEPS, 12])], "plan")


def sure():
    return np.repeat(1 / (1 + (TIMES_S / SURE_S) ** 2), 2).astype(np.float32)


def relative():
    """The track as distances from where the part is: small numbers that say how it moves."""
    matrix = np.eye(SEEN)
    for place in range(4, SEEN):
        matrix[place, place % 2] = -1
    return matrix


def straight_on():
    """Places at each step if the part kept its velocity."""
    matrix = np.zeros((2 * STEPS, SEEN))
    for axis in range(2):
        matrix[axis::2, axis], matrix[axis::2, 2 + axis] = 1, TIMES_S
    return matrix


def seen_of_observation():
    return np.eye(SEEN, 12 + SEEN, 12)


def differences():
    """Rates of change at each step: central, and of second order at the ends."""
    return np.gradient(np.eye(STEPS), STEP_MS / 1000, axis=0, edge_order=2)


def slopes(params, inputs, wanted, price):
    """The loss, each component's miss by its price, and how it falls."""
    layers = [inputs]
    for k in range(0, len(params), 2):
        z = layers[-1] @ params[k].T
        z += params[k + 1]
        layers.append(z if k == len(params) - 2 else elu(z))
    miss = (layers[-1] - wanted) * price
    back = miss * price * np.float32(2 / len(miss))
    down = [None] * len(params)
    for k in reversed(range(0, len(params), 2)):
        below = layers[k // 2]
        down[k], down[k + 1] = back.T @ below, back.sum(0)
        if k:
            back = back @ params[k]
            back *= np.minimum(below, 0) + 1  # ELU's slope, from its value
    return float(np.mean(np.sum(miss * miss, axis=1))), down
