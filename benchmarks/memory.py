"""The most memory that a call holds in tensors at one time, beyond what was there before it."""

from torch.profiler import ProfilerActivity, profile

from benchmarks.timing import Call

_ALLOCATION = "[memory]"


def peak_bytes(call: Call) -> int:
    """Runs a call under the profiler, after it ran once without, and adds up its allocations as they come and go.

    Tensors on the CPU only. What a library takes without PyTorch's allocator, such as NumPy's arrays and oneDNN's own
    buffers, is not seen; so a peer that works in NumPy has more than this.
    """
    call()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        result = call()
    events = record.profiler.kineto_results.events() if record.profiler else []
    held = peak = 0
    for event in sorted((e for e in events if e.name() == _ALLOCATION), key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    del result  # what the call returns counts
    return peak
