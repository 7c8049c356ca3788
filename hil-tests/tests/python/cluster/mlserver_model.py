"""A custom runtime of MLServer."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse, TensorData
from served import Served


class Model(MLModel):
    async def load(self):
        extra = self.settings.parameters.extra
        self.served = Served(extra["folder"], self.name, extra["source"])
        return True

    async def predict(self, payload):
        given = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        answered = self.served.answer(payload.id, given)
        outputs = [self.output(name, values) for name, values in answered.items()]
        return InferenceResponse(id=payload.id, model_name=self.name, outputs=outputs)

    def output(self, name, values):
        encoded = NumpyCodec.encode_output(name, values)
        # The codec makes a column of a row, and null of what is not a number, which the wire cannot hold.
        encoded.shape = list(values.shape)
        encoded.data = TensorData(values.ravel().tolist())
        return encoded
