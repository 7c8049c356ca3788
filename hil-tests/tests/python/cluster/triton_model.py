"""A model of Triton's python backend. Its parameters say where the tests' folder is and what it serves."""

import json

import triton_python_backend_utils as triton
from served import Served


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
        self.inputs = [tensor["name"] for tensor in config["input"]]
        self.served = Served(parameters["folder"], args["model_name"], parameters["source"])

    def execute(self, requests):
        return [self.response(request) for request in requests]

    def response(self, request):
        given = {name: triton.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
        try:
            answered = self.served.answer(request.request_id(), given)
        except Exception as error:
            return triton.InferenceResponse(error=triton.TritonError(str(error)))
        return triton.InferenceResponse([triton.Tensor(name, values) for name, values in answered.items()])
