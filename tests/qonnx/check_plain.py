"""Plain ONNX files of mixq: the onnx package's checker and shape inference, and execution by onnxruntime.

  check_plain.py plain.onnx VECTORS        the integer network: the trained network's outputs of an export's vectors, all the same
  check_plain.py float.onnx VECTORS --float  the float network: it runs, and its outputs are finite and differ
"""
import argparse
import json
import sys

try:
    import numpy as np
    import onnx
    import onnxruntime
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("vectors")
    parser.add_argument("--float", action="store_true")
    args = parser.parse_args()
    model = onnx.load(args.file)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    known = {v.name: v for v in inferred.graph.value_info}
    missing = [o for n in inferred.graph.node for o in n.output if o not in known and o != model.graph.output[0].name]
    print(f"{args.file}: checked, {len(model.graph.node)} nodes, {len(missing)} tensors without a shape")
    images = np.load(f"{args.vectors}/images.npy").astype(np.float32) / np.float32(256)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    found = np.stack([session.run(None, {name: images[i : i + 1]})[0].ravel() for i in range(len(images))])
    if args.float:
        good = bool(np.isfinite(found).all() and found.std() > 0)
        print(f"{len(images)} images run, outputs {'finite' if good else 'wrong'}")
        return 0 if good and not missing else 1
    net = json.load(open(f"{args.vectors}/../net.json"))
    nodes = {n["name"]: n for n in net["nodes"]}
    last = net["nodes"][-1]
    codes = np.load(f"{args.vectors}/{nodes[last['inputs'][0]]['dump']}.npy").reshape(len(images), -1)
    divisor, offset = last["attributes"]["divisor"], last["attributes"].get("offset", 0)
    differ = int((np.rint((found - offset) * divisor).astype(np.int64) != codes).sum())
    print(f"{len(images)} images run, {differ} of {codes.size} outputs differ")
    return 1 if differ or missing else 0


if __name__ == "__main__":
    sys.exit(main())
