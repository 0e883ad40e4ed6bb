"""Two nets of one prototxt, and a program that does the same to both.

One runs wherever the test says. The other, the oracle, runs in array code on the CPU, where every
blob is one array that is never copied: whatever a program reads, holds, writes or releases there is
right by construction. After every act the two have to agree.
"""

import contextlib

import numpy as np

from minidl import TRAIN, Net, get_solver, prototxt
from minidl.errors import UsageError

SOLVER = """base_lr: 0.01 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.001 max_iter: 1000
random_seed: 7 snapshot_after_train: false"""


def make(text, **given):
    param = prototxt.read_solver(SOLVER)
    param.net_param.CopyFrom(prototxt.read_net(text))
    param.net_param.state.phase = TRAIN
    return get_solver(param, **given)


def host(array):
    return np.array(array.get() if hasattr(array, "get") else array)


class Pair:
    """`ours` and the `oracle`, and what the program holds of both.

    share    whether our net's blobs share memory: parts of passes are not to be had then, nor
             blobs that are gone, which is said by an error and never by a wrong number
    held     [(name, our array, the oracle's)]
    ran      there was a forward since the shapes are what they are
    whole    a backward may follow: the last pass was a whole forward, and nothing was overwritten
             since of which this net's layers make what they like: see `mind`
    """

    def __init__(self, text, share=False, feed=None):
        self.share, self.make_inputs = share, feed
        self.solvers = make(text, share=share), make(text, engine="numpy", device="cpu")
        self.nets = [solver.net for solver in self.solvers]
        self.ours, self.oracle = self.nets
        self.held = []
        self.ran = self.whole = False
        self.layers = self.oracle.layer_names
        self.seed = 0
        self.feed()
        self.set_statistics()

    # ------------------------------------------------------------------ values

    def random(self, shape, whole=False):
        self.seed += 1
        rng = np.random.default_rng(self.seed)
        if whole:
            return rng.integers(0, 2, shape).astype(np.float32)
        return rng.standard_normal(shape).astype(np.float32)

    def inputs(self):
        if self.make_inputs is not None:
            self.seed += 1
            return self.make_inputs(self.oracle, self.seed)
        return {
            name: self.random(self.oracle.blobs[name].shape, name.startswith("label"))
            for name in self.oracle.inputs
        }

    def mind(self):
        """Data is overwritten, perhaps between a forward and its backward. LRN then mixes sums of
        what was there with what is there now, each engine in its own way."""
        if any(layer.type == "LRN" for layer in self.oracle.own_layers):
            self.whole = False

    def write(self, name, ours, theirs, how):
        """The same to both: "set" to random numbers, "scale", "part"."""
        if "/" not in name and name.endswith("data"):
            self.mind()
        values = self.random(theirs.shape)
        for array in (ours, theirs):
            if how == "set":
                array[...] = values
            elif how == "scale":
                array *= 0.5
            else:
                array.reshape(-1)[:3] = 0.25

    def set_statistics(self):
        """A variance of 0 would make much of every rounding error."""
        for name, layer in self.oracle.layer_dict.items():
            if layer.type == "BatchNorm":
                for net in self.nets:
                    for i in (1, 2):
                        net.params[name][i].data[...] = 1

    # ------------------------------------------------------------------ acts

    def feed(self):
        for name, values in self.inputs().items():
            for net in self.nets:
                net.device.write(net.blobs[name].data, values)
        self.mind()
        if "label" in self.oracle.blobs:  # kernels of a GPU read labels again, array code does not
            self.whole = False

    def between(self, ends):
        """Names of two layers, in order."""
        return [self.layers[i] for i in sorted(end % len(self.layers) for end in ends)]

    def forward(self, start=None, end=None, given=False, hold=None):
        """`given`: inputs as arguments; `hold`: one of the blobs is asked for, and held."""
        values = self.inputs() if given else {}
        names = [n for n in self.oracle.blobs if n != "label"]
        blobs = [names[hold % len(names)]] if hold is not None else []
        found = [net.forward(blobs=blobs, start=start, end=end, **values) for net in self.nets]
        self.held += [(f"{name}.data", *(f[name] for f in found)) for name in blobs]
        self.whole = start is None and end is None
        self.ran = self.ran or self.whole

    def backward(self, start=None, end=None, given=()):
        values = {name: self.random(self.oracle.blobs[name].shape) for name in given}
        for net in self.nets:
            if self.share:  # the other one returns gradients of inputs, which may be gone
                net.backward_pass()
                continue
            net.backward(start=start, end=end, **values)
        self.whole = self.whole and not self.share

    def step(self):
        for solver in self.solvers:
            solver.step(1)
        self.ran = self.whole = True
        self.whole = not self.share

    def update(self):
        for solver in self.solvers:
            solver.apply_update()

    def clear(self):
        for net in self.nets:
            net.clear_param_diffs()

    def places(self):
        """(name, function from a net to an object with data and diff) of all there is to take."""
        for name in self.oracle.blobs:
            if name != "label":  # holds whole numbers only
                yield name, lambda net, name=name: net.blobs[name]
        for name, params in self.oracle.params.items():
            for i in range(len(params)):
                yield f"{name}/{i}", lambda net, name=name, i=i: net.params[name][i]

    def take(self, number, kind):
        """Hold an array; nothing where our net says that it is gone."""
        places = list(self.places())
        name, find = places[number % len(places)]
        with self.refusable():
            ours = getattr(find(self.ours), kind)
            self.held.append((f"{name}.{kind}", ours, getattr(find(self.oracle), kind)))

    def write_once(self, number, kind, how):
        places = list(self.places())
        name, find = places[number % len(places)]
        with self.refusable():
            self.write(f"{name}.{kind}", *(getattr(find(net), kind) for net in self.nets), how)

    def write_held(self, number, how):
        if self.held:
            self.write(*self.held[number % len(self.held)], how)

    def release(self, number):
        if self.held:
            del self.held[number % len(self.held)]

    def reshape(self, batch):
        names = set(self.oracle.blobs)
        self.whole = self.whole and batch == self.oracle.blobs["x"].shape[0]
        self.held = [h for h in self.held if h[0].rpartition(".")[0] not in names]
        for net in self.nets:
            for name in net.inputs:
                net.blobs[name].reshape(batch, *net.blobs[name].shape[1:])
            net.reshape()
        self.ran = False
        self.feed()

    def load(self, path):
        self.oracle.save(path)
        for solver in self.solvers:
            solver.net.copy_from(path)

    def save(self, path):
        """Files hold what the nets hold."""
        found = []
        for net in self.nets:
            net.save(path)
            with np.load(path) as arrays:
                found.append({n: a for n, a in arrays.items() if isinstance(a, np.ndarray)})
        for name, theirs in found[1].items():
            self.close(name, found[0][name], theirs, 0)

    def backward_from(self, number, by_array):
        """The gradient of a layer's first top is given, and passed on from there."""
        names = [n for n in self.layers if self.oracle.top_names[n] and self.oracle.bottom_names[n]]
        start = names[number % len(names)]
        top = self.oracle.top_names[start][0]
        values = self.random(self.oracle.blobs[top].shape)
        for net in self.nets:
            if by_array:
                net.blobs[top].diff[...] = values
                net.backward(start=start)
            else:
                net.backward(start=start, **{top: values})

    def share_with_others(self):
        """Other nets of the same prototxt run with the parameters, too."""
        for net, given in zip(self.nets, ({}, {"engine": "numpy", "device": "cpu"}), strict=True):
            other = Net(net.param, phase="TRAIN", seed=5, **given)  # the same dropout
            other.share_with(net)
            for name in net.inputs:
                other.blobs[name].reshape(*net.blobs[name].shape)
                other.device.write(other.blobs[name].data, net.blobs[name].read())
            other.forward()

    def call_back(self, when, layer, number, kind, hold):
        """A forward, and a backward if it can be, during which somebody takes or writes a blob."""
        places = list(self.places())
        name, find = places[number % len(places)]
        own = self.oracle.top_names[self.layers[layer % len(self.layers)]][:1]
        if number % 2 and own != ["label"]:
            name, find = own[0], lambda net: net.blobs[own[0]]
        kept = []

        def act(net):
            array = getattr(find(net), kind)
            if hold:
                kept.append((net, array))
            else:
                array *= 0.5

        for net in self.nets:
            at = layer % len(net.layers)
            getattr(net, when).append(lambda i, net=net, at=at: act(net) if i == at else None)
        try:
            self.forward()
            if not (hold or "/" in name or kind == "diff"):
                self.mind()
            if self.whole:
                self.backward()
        finally:
            for net in self.nets:
                getattr(net, when).clear()
        arrays = {id(net): array for net, array in kept}
        if len(arrays) == 2:
            self.held.append((f"{name}.{kind}", *(arrays[id(net)] for net in self.nets)))

    # ------------------------------------------------------------------ the law

    @contextlib.contextmanager
    def refusable(self):
        """In a net that shares memory a blob may be gone, and so says an error."""
        try:
            yield
        except UsageError as error:
            if not self.share or not any(w in str(error) for w in ("is gone", "has no")):
                raise

    def agree(self):
        """Everything that can be seen of the two nets, without taking hold of it."""
        for name, ours, theirs in self.held:
            self.close(name, host(ours), theirs, self.largest(name))
        for name, find in self.places():
            for kind in ("data", "diff"):
                with self.refusable():
                    ours, theirs = (find(net).read(kind) for net in self.nets)
                    self.close(f"{name}.{kind}", host(ours), theirs, self.largest(kind))

    def largest(self, name):
        """Of all numbers of that kind: what is 0 but for rounding is compared with it."""
        kind = name.rpartition(".")[2]
        found = [
            float(np.abs(find(self.oracle).read(kind)).max(initial=0)) for _, find in self.places()
        ]
        return max(found)

    @staticmethod
    def close(name, ours, theirs, largest):
        assert ours.shape == theirs.shape, f"{name}: {ours.shape} for {theirs.shape}"
        # Rounding grows from layer to layer; what is lost or garbage is off by all of itself.
        bound = 1e-4 * float(np.abs(theirs).max(initial=0)) + 5e-5 * largest + 1e-5
        if not (np.isfinite(theirs).all() and largest < 1e6):
            return  # it has diverged
        worst = float(np.abs(ours - theirs).max(initial=0))
        assert worst <= bound, f"{name} is off by {worst:.3g}, of {np.abs(theirs).max():.3g}"
