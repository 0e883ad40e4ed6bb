"""cupy.cuda: devices and the runtime."""

from tests.fakegpu import machine as state
from tests.fakegpu.cublas import get_cublas_handle
from tests.fakegpu.errors import CUDARuntimeError

PROPERTIES = {
    "name": b"Fake GPU", "major": 9, "minor": 0, "multiProcessorCount": 4, "warpSize": 32,
    "maxThreadsPerBlock": 1024, "maxGridSize": (2**31 - 1, 65535, 65535),
    "maxThreadsDim": (1024, 1024, 64), "sharedMemPerBlock": 49152, "regsPerBlock": 65536,
    "clockRate": 1_000_000, "memoryClockRate": 1_000_000, "memoryBusWidth": 256,
    "l2CacheSize": 4 << 20, "maxThreadsPerMultiProcessor": 2048, "totalConstMem": 65536,
    "pciBusID": 1, "pciDeviceID": 0, "pciDomainID": 0, "integrated": 0, "canMapHostMemory": 1,
    "concurrentKernels": 1, "ECCEnabled": 0, "asyncEngineCount": 2, "unifiedAddressing": 1,
    "managedMemory": 1,
}  # fmt: skip


class Device:
    """CuPy's Device: `with Device(1):` makes it the current one of the thread."""

    def __init__(self, device=None):
        self.id = state.current().device if device is None else int(device)

    def use(self):
        _exists(self.id)
        state.current().make_current(device=self.id)
        return self

    def __enter__(self):
        machine = state.current()
        machine.local.__dict__.setdefault("devices_before", []).append(machine.device)
        return self.use()

    def __exit__(self, *_):
        state.current().make_current(device=state.current().local.devices_before.pop())

    def __int__(self):
        return self.id

    def __eq__(self, other):
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self):
        return hash(("device", self.id))

    def __repr__(self):
        return f"<CUDA Device {self.id}>"

    def synchronize(self):
        with self:
            deviceSynchronize()

    @property
    def compute_capability(self):
        return f"{PROPERTIES['major']}{PROPERTIES['minor']}"

    @property
    def attributes(self):
        return {
            "MultiProcessorCount": PROPERTIES["multiProcessorCount"],
            "MaxThreadsPerBlock": PROPERTIES["maxThreadsPerBlock"],
            "WarpSize": PROPERTIES["warpSize"],
            "MaxThreadsPerMultiProcessor": PROPERTIES["maxThreadsPerMultiProcessor"],
        }

    @property
    def mem_info(self):
        with self:
            return memGetInfo()

    @property
    def pci_bus_id(self):
        return f"0000:0{self.id + 1}:00.0"

    @property
    def cublas_handle(self):
        with self:
            return get_cublas_handle()


def _exists(index):
    if not 0 <= index < state.current().devices:
        raise CUDARuntimeError("cudaErrorInvalidDevice", "invalid device ordinal")


def get_device_id():
    return state.current().device


def is_available():
    return state.current().devices > 0


def get_current_stream(device_id=-1):
    machine = state.current()
    if device_id not in (-1, machine.device):
        with Device(device_id):
            return machine.stream
    return machine.stream


# The runtime's functions, by its names


def getDeviceCount():
    if not state.current().devices:
        raise CUDARuntimeError("cudaErrorNoDevice", "no CUDA-capable device is detected")
    return state.current().devices


def getDevice():
    return state.current().device


def setDevice(device):
    Device(device).use()


def getDeviceProperties(device):
    _exists(device)
    return PROPERTIES | {"totalGlobalMem": state.current().total}


def deviceGetAttribute(attribute, device):
    raise NotImplementedError("the fake: use getDeviceProperties or Device.attributes")


def memGetInfo():
    machine = state.current()
    return machine.total - machine.live[machine.device], machine.total


def driverGetVersion():
    return 13000


def runtimeGetVersion():
    return 13000


def deviceSynchronize():
    machine = state.current()
    for line in list(machine.lines):
        machine.refuse_while_capturing("waiting for the device", line)
    machine.count("syncs")
    for line in list(machine.lines):
        line.flush()


def deviceCanAccessPeer(device, peer):
    return int(device != peer)


def deviceEnablePeerAccess(peer):
    _exists(peer)


RUNTIME = {
    f.__name__: f
    for f in (
        getDeviceCount, getDevice, setDevice, getDeviceProperties, deviceGetAttribute, memGetInfo,
        driverGetVersion, runtimeGetVersion, deviceSynchronize,
        deviceCanAccessPeer, deviceEnablePeerAccess,
    )
}  # fmt: skip
CONSTANTS = {
    "CUDA_R_32F": 0, "CUDA_R_64F": 1, "CUDA_R_16F": 2, "CUDA_R_8I": 3, "CUDA_R_8U": 8,
    "CUDA_R_16BF": 14, "memcpyHostToHost": 0, "memcpyHostToDevice": 1, "memcpyDeviceToHost": 2,
    "memcpyDeviceToDevice": 3, "memcpyDefault": 4, "streamDefault": 0, "streamNonBlocking": 1,
    "eventDefault": 0, "eventBlockingSync": 1, "eventDisableTiming": 2, "eventInterprocess": 4,
    "streamCaptureModeGlobal": 0, "streamCaptureModeThreadLocal": 1,
    "streamCaptureModeRelaxed": 2, "is_hip": False,
}  # fmt: skip
