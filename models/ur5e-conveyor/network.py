"""A small multilayer perceptron: float32 numpy to train it, ONNX to run it anywhere.

Small enough that a framework would cost more than it saves: 21-256-256-128-6 with ELU.
"""

import numpy as np
from onnx import checker, helper, numpy_helper

SIZES = [21, 256, 256, 128, 6]


class Network:
    def __init__(self, rng):
        # PyTorch's default initialisation: uniform in ±1/sqrt(inputs)
        self.params = []
        for inputs, outputs in zip(SIZES, SIZES[1:]):
            bound = inputs**-0.5
            self.params.append(rng.uniform(-bound, bound, (outputs, inputs)).astype(np.float32))
            self.params.append(rng.uniform(-bound, bound, outputs).astype(np.float32))
        self.scale = None

    def fit(self, observations, labels, rng, epochs, peak_rate=3e-3, batch=1024):
        """Adam on the squared error in units of each torque's spread; returns the last epoch's loss."""
        if self.scale is None:  # fixed in the first round, or the warm start would be lost
            self.scale = (
                observations.mean(0), observations.std(0) + np.float32(1e-3),
                labels.std(0) + np.float32(1e-4),
            )
        mean, spread, unit = self.scale
        inputs, wanted = (observations - mean) / spread, labels / unit
        adam, losses = Adam(self.params), []
        batches = len(inputs) // batch
        for epoch in range(epochs):
            order, losses = rng.permutation(len(inputs)), []
            for k in range(batches):
                pick = order[k * batch:(k + 1) * batch]
                loss, slopes = self._slopes(inputs[pick], wanted[pick])
                adam.step(slopes, peak_rate * one_cycle((epoch * batches + k) / (epochs * batches)))
                losses.append(loss)
        return float(np.mean(losses))

    def _slopes(self, inputs, wanted):
        layers = [inputs]
        for k in range(0, len(self.params), 2):
            z = layers[-1] @ self.params[k].T
            z += self.params[k + 1]
            layers.append(z if k == len(self.params) - 2 else elu(z))
        miss = layers[-1] - wanted
        back = miss * np.float32(2 / miss.size)
        slopes = [None] * len(self.params)
        for k in reversed(range(0, len(self.params), 2)):
            below = layers[k // 2]
            slopes[k], slopes[k + 1] = back.T @ below, back.sum(0)
            if k:
                back = back @ self.params[k]
                back *= np.minimum(below, 0) + 1  # ELU's slope, from its value
        return float(np.mean(miss * miss)), slopes

    def folded(self):
        """The parameters with the normalisation multiplied into the first and the last layer."""
        mean, spread, unit = (part.astype(np.float64) for part in self.scale)
        params = [p.astype(np.float64) for p in self.params]
        params[0] = params[0] / spread
        params[1] = params[1] - params[0] @ mean
        params[-2], params[-1] = params[-2] * unit[:, None], params[-1] * unit
        return [p.astype(np.float32) for p in params]

    def policy(self):
        """A plain function from observation to torque, for roll-outs."""
        params = self.folded()

        def answer(observation):
            h = observation
            for k in range(0, len(params), 2):
                h = params[k] @ h + params[k + 1]
                if k < len(params) - 2:
                    h = elu(h)
            return h.astype(np.float64)

        return answer

    def to_onnx(self, note):
        params, names, nodes, last = self.folded(), [], [], "observation"
        for k in range(len(SIZES) - 1):
            names += [f"weight_{k}", f"bias_{k}"]
            out = "torque" if k == len(SIZES) - 2 else f"sum_{k}"
            nodes.append(helper.make_node("Gemm", [last, f"weight_{k}", f"bias_{k}"], [out], transB=1))
            if out != "torque":
                nodes.append(helper.make_node("Elu", [out], [f"hidden_{k}"]))
                last = f"hidden_{k}"
        graph = helper.make_graph(
            nodes, "ur5e-conveyor",
            [helper.make_tensor_value_info("observation", 1, [1, SIZES[0]])],
            [helper.make_tensor_value_info("torque", 1, [1, SIZES[-1]])],
            [numpy_helper.from_array(p, name) for p, name in zip(params, names)],
        )
        return finished(graph, note)


class Adam:
    def __init__(self, params):
        self.params, self.count = params, 0
        self.first = [np.zeros_like(p) for p in params]
        self.second = [np.zeros_like(p) for p in params]

    def step(self, slopes, rate):
        self.count += 1
        rate = np.float32(rate * (1 - 0.999**self.count) ** 0.5 / (1 - 0.9**self.count))
        for p, g, m, v in zip(self.params, slopes, self.first, self.second):
            m += np.float32(0.1) * (g - m)
            v += np.float32(0.001) * (g * g - v)
            p -= rate * m / (np.sqrt(v) + np.float32(1e-8))


def one_cycle(done):
    """Warm up over the first 30 %, then a cosine down to nothing."""
    if done < 0.3:
        return 0.04 + 0.96 * (1 - np.cos(np.pi * done / 0.3)) / 2
    return (1 + np.cos(np.pi * (done - 0.3) / 0.7)) / 2


def elu(z):
    return np.maximum(z, 0) + np.expm1(np.minimum(z, 0))


def finished(graph, note):
    """Opset 17 and IR 8 load in every ONNX Runtime since 1.12."""
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
        producer_name="genba", doc_string=note,
    )
    checker.check_model(model, full_check=True)
    return model
