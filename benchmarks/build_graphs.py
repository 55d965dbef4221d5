"""Write the ONNX graphs of the package: the structure of backbones, whose weights ONNX Runtime gets from the module.

    python -m benchmarks.build_graphs

Height and width are free, as convolutions with TensorFlow's padding pad for themselves (``SAME_UPPER``).
"""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import fx, nn

from maagiqa_pyiqa.archs.folded_norms import FrozenNorm, NormedConv
from maagiqa_pyiqa.archs.native_branch import StageStatistics
from maagiqa_pyiqa.archs.onnx_trunk import GRAPH_TAPS, MapStatistics
from maagiqa_pyiqa.weights import packaged_graph

BACKBONES = ("tf_efficientnet_lite0", "tf_efficientnet_lite2")
OPSET, IR_VERSION = 17, 8  # which ONNX Runtime has known since 1.12


class Graph:
    """Nodes and weights of a graph as they come together."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = [
            helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
            helper.make_tensor("six", TensorProto.FLOAT, [], [6.0]),
        ]

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Append a node and return the name of its output."""
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def add_conv(self, conv: NormedConv, module_name: str, x: str, output: str) -> str:
        """Append a convolution that bears its batch norm within it."""
        shapes = {f"{module_name}.weight": conv.weight.shape, f"{module_name}.bias": conv.weight.shape[:1]}
        self.weights += [_placeholder(name, tuple(shape)) for name, shape in shapes.items()]
        padding = {"auto_pad": "SAME_UPPER"} if conv.same else {"pads": [*conv.padding, *conv.padding]}
        strides, dilations = list(conv.stride), list(conv.dilation)
        return self.add(
            "Conv", [x, *shapes], output, strides=strides, dilations=dilations, group=conv.groups, **padding
        )

    def add_statistics(self, maps: list[str]) -> None:
        """Append mean and variance over positions of all maps."""
        for x in maps:
            mean = self.add("ReduceMean", [x], f"{x}.mean", axes=[2, 3])
            difference = self.add("Sub", [x, mean], f"{x}.difference")
            square = self.add("Mul", [difference, difference], f"{x}.square")
            self.add("ReduceMean", [square], f"{x}.variance", axes=[2, 3])
        for statistic in ("mean", "variance"):
            joined = self.add("Concat", [f"{x}.{statistic}" for x in maps], f"all.{statistic}", axis=1)
            self.add("Flatten", [joined], statistic)

    def serialized(self) -> bytes:
        """The file's content."""
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "height", "width"])
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in MapStatistics._fields]
        graph = helper.make_graph(self.nodes, "trunk", [image], outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        return bytes(model.SerializeToString(deterministic=True))


def _placeholder(name: str, shape: tuple[int, ...]) -> onnx.TensorProto:
    """A weight whose values ONNX Runtime is given later; no file of that name is ever read."""
    tensor = TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "weights"), ("offset", 0), ("length", 4 * int(np.prod(shape)))):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


class _Maps(nn.Module):
    def __init__(self, trunk: StageStatistics) -> None:
        super().__init__()
        self.model, self.taps = trunk.model, trunk.taps

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        last, maps = self.model.forward_intermediates(x, indices=self.taps)
        return [*maps, last]


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, NormedConv | FrozenNorm) or super().is_leaf_module(m, module_qualified_name)


def build_graph(backbone: str) -> bytes:
    """The graph of a backbone's ``StageStatistics``.

    Raises:
        NotImplementedError: it has a layer that is none of a convolution with a batch norm, ReLU6 and a sum.
    """
    maps = _Maps(StageStatistics(backbone, GRAPH_TAPS))
    graph = Graph()
    names: dict[fx.Node, str] = {}
    for node in _Tracer().trace(maps).nodes:
        if node.op == "output":
            outputs = [names[argument] for argument in node.args[0]]
        else:
            inputs = [names[argument] for argument in node.args if isinstance(argument, fx.Node)]
            names[node] = "image" if node.op == "placeholder" else _add_node(graph, maps, node, inputs)
    graph.add("Identity", [outputs[-2]], "last_map")
    graph.add_statistics(outputs)
    return graph.serialized()


def _add_node(graph: Graph, maps: _Maps, node: fx.Node, inputs: list[str]) -> str:
    if node.target in (operator.add, operator.iadd):
        return graph.add("Add", inputs, node.name)
    layer = maps.get_submodule(str(node.target)) if node.op == "call_module" else None
    if isinstance(layer, NormedConv):
        return graph.add_conv(layer, str(node.target).removeprefix("model."), inputs[0], node.name)
    activation = layer.act if isinstance(layer, FrozenNorm) else layer
    if isinstance(activation, nn.ReLU6):
        return graph.add("Clip", [inputs[0], "zero", "six"], node.name)
    if isinstance(activation, nn.Identity):
        return inputs[0]
    raise NotImplementedError(f"no ONNX node is known for {node.format_node()}")


def main() -> None:
    """Write all graphs."""
    for backbone in BACKBONES:
        path: Path = packaged_graph(backbone)
        path.write_bytes(build_graph(backbone))
        print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
