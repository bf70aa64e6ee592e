#!/usr/bin/env python3
"""Energy and speed of one GPU, measured: idle, memory, matrix products, language models, image networks.

Joules come from NVML's energy counter (checked against its power readings), sampled by a process of its own. Every row
is a window of steady work after a warm-up, with its clocks, temperature and conditions. Weights and inputs are random.
Files in --out: conditions.json, idle.csv, micro.csv, language.csv, image.csv, samples.csv (all NVML readings), log.txt.
`--dry` runs the same code with tiny shapes on a CPU; its numbers mean nothing.
"""
import argparse, bisect, collections, contextlib, csv, gc, json, math, os, platform, subprocess, sys, time, traceback

COLUMNS = [
    "part", "case", "network", "format", "runtime", "batch", "context", "prompt", "m", "n", "k", "unit", "units_per_run",
    "runs", "seconds", "units_per_second", "watts", "watts_power_reading", "watts_first_half", "watts_second_half",
    "joules_per_unit", "operations_per_run", "bytes_per_run", "tflops", "gigabytes_per_second", "pj_per_operation",
    "pj_per_byte", "pj_per_operation_above_idle", "pj_per_byte_above_idle", "idle_watts", "sm_mhz", "memory_mhz",
    "celsius_start", "celsius_end", "throttle_reasons", "counter_steps", "kernels", "started_s", "notes", "error",
]
START = time.monotonic()


# ---------------------------------------------------------------- NVML readings, in a process of their own

def sample_forever(path, dry, life):
    """Writes one line per reading: monotonic seconds, mJ counter, instant and mean mW, MHz, MHz, Celsius, reasons."""
    period = 0.02
    if dry:
        read = lambda: [int((time.monotonic() - START) * 100_000), 100_000, 100_000, 1000, 2000, 40, 0]
    else:
        import pynvml as nv
        nv.nvmlInit()
        device = nv.nvmlDeviceGetHandleByIndex(0)

        def attempt(f, *a):
            try:
                return f(*a)
            except Exception:
                return -1

        def instant():
            v = nv.nvmlDeviceGetFieldValues(device, [getattr(nv, "NVML_FI_DEV_POWER_INSTANT", 186)])[0]
            return v.value.uiVal if v.nvmlReturn == 0 else -1
        reasons = getattr(nv, "nvmlDeviceGetCurrentClocksEventReasons", None) or nv.nvmlDeviceGetCurrentClocksThrottleReasons

        def read():
            return [attempt(nv.nvmlDeviceGetTotalEnergyConsumption, device), attempt(instant),
                    attempt(nv.nvmlDeviceGetPowerUsage, device),
                    attempt(nv.nvmlDeviceGetClockInfo, device, nv.NVML_CLOCK_SM),
                    attempt(nv.nvmlDeviceGetClockInfo, device, nv.NVML_CLOCK_MEM),
                    attempt(nv.nvmlDeviceGetTemperature, device, nv.NVML_TEMPERATURE_GPU), attempt(reasons, device)]
    parent = os.getppid()
    with open(path, "w", buffering=1) as f:
        f.write("monotonic_s,energy_mj,power_instant_mw,power_mean_mw,sm_mhz,memory_mhz,celsius,reasons\n")
        due = time.monotonic()
        while time.monotonic() - START < life and os.getppid() == parent:
            t0 = time.monotonic()
            values = read()
            t = (t0 + time.monotonic()) / 2
            f.write(f"{t:.4f}," + ",".join(map(str, values)) + "\n")
            due = max(due + period, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))


class Meter:
    """Reads the sampler's file and says what a span of time cost."""

    def __init__(self, path, dry, life):
        self.path, self.rows, self.rest, self.offset = path, [], "", 0
        if os.path.exists(path):
            os.remove(path)  # readings of an earlier run
        args = [sys.executable, os.path.abspath(__file__), "--sampler", path, "--budget", str(life)]
        self.process = subprocess.Popen(args + (["--dry"] if dry else []))

    def refresh(self):
        if not os.path.exists(self.path):
            return
        with open(self.path) as f:
            f.seek(self.offset)
            text = self.rest + f.read()
            self.offset = f.tell()
        *lines, self.rest = text.split("\n")
        for line in lines:
            try:
                self.rows.append([float(x) for x in line.split(",")])
            except ValueError:
                pass  # the heading

    def wait_ready(self):
        end = time.monotonic() + 15
        while time.monotonic() < end and len(self.rows) < 5:
            time.sleep(0.05)
            self.refresh()
        return len(self.rows) >= 5

    def span(self, t0, t1):
        """Mean watts between two times, by the counter's steps (time-aligned) and by the instant power reading."""
        time.sleep(0.06)
        self.refresh()
        keys = [r[0] for r in self.rows]
        lo, hi = bisect.bisect_left(keys, t0), bisect.bisect_right(keys, t1)
        rows = self.rows[lo:hi]
        if len(rows) < 3:
            return {"notes": "too few NVML readings"}
        mean = lambda i: sum(r[i] for r in rows) / len(rows)

        def counter(a, b):
            """Joules per second between the first and the last step of the counter in a span, and the number of steps."""
            steps = [self.rows[i] for i in range(max(lo, 1), hi)
                     if a <= self.rows[i][0] <= b and self.rows[i][1] != self.rows[i - 1][1] and self.rows[i][1] > 0]
            if len(steps) < 4:
                return None, len(steps)
            return (steps[-1][1] - steps[0][1]) / 1e3 / (steps[-1][0] - steps[0][0]), len(steps)
        power = mean(2) / 1e3 if rows[0][2] > 0 else mean(3) / 1e3
        watts, steps = counter(t0, t1)
        middle = (t0 + t1) / 2
        reasons = 0
        for r in rows:
            reasons |= max(int(r[7]), 0)
        return {"watts": watts if watts else power, "watts_power_reading": power, "counter_steps": steps,
                "watts_first_half": counter(t0, middle)[0], "watts_second_half": counter(middle, t1)[0],
                "sm_mhz": mean(4), "memory_mhz": mean(5), "celsius_start": rows[0][6], "celsius_end": rows[-1][6],
                "throttle_reasons": hex(reasons), "notes": "" if watts else "watts from power readings, not the counter"}

    def stop(self):
        self.process.terminate()


# ---------------------------------------------------------------- one measurement

class Bench:
    def __init__(self, args, torch):
        self.args, self.torch, self.cuda = args, torch, not args.dry
        self.device = "cuda" if self.cuda else "cpu"
        self.meter = Meter(os.path.join(args.out, "samples-2.csv" if args.after else "samples.csv"), args.dry, args.budget + 60)
        self.files, self.idle, self.summary = {}, None, []
        self.log_file = open(os.path.join(args.out, "log.txt"), "a" if args.after else "w", buffering=1)

    def log(self, text):
        line = f"[{time.monotonic() - START:6.1f}s] {text}"
        print(line, flush=True)
        self.log_file.write(line + "\n")

    def left(self):
        return self.args.budget - (time.monotonic() - START)

    def write(self, part, row):
        if part not in self.files:
            path = os.path.join(self.args.out, f"{part}.csv")
            fresh = not (self.args.after and os.path.exists(path))
            f = open(path, "w" if fresh else "a", newline="")
            self.files[part] = (f, csv.DictWriter(f, COLUMNS))
            if fresh:
                self.files[part][1].writeheader()
        f, writer = self.files[part]
        short = {k: (f"{v:.6g}" if isinstance(v, float) else v) for k, v in row.items() if v is not None}
        writer.writerow({"part": part, "started_s": f"{time.monotonic() - START:.1f}"} | short)
        f.flush()

    def sync(self):
        if self.cuda:
            self.torch.cuda.synchronize()

    def drive(self, run, seconds, chunk):
        """Keeps two chunks of runs queued for so long; then waits for all. Runs, start, end."""
        events, n, t0 = collections.deque(), 0, time.monotonic()
        while True:
            for _ in range(chunk):
                run()
            n += chunk
            if self.cuda:
                e = self.torch.cuda.Event()
                e.record()
                events.append(e)
                if len(events) > 2:
                    events.popleft().synchronize()
            if time.monotonic() - t0 >= seconds:
                break
        self.sync()
        return n, t0, time.monotonic()

    def graph(self, step, inner=1):
        """A captured graph of `inner` steps as a function, and its number of nodes where that can be read."""
        torch = self.torch
        if not self.cuda:
            def again():
                for _ in range(inner):
                    step()
            return again, None
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        try:
            g = torch.cuda.CUDAGraph(keep_graph=True)
        except TypeError:
            g = torch.cuda.CUDAGraph()
        with torch.cuda.graph(g):
            for _ in range(inner):
                step()
        nodes = None
        try:
            from cuda.bindings import runtime
            raw = runtime.cudaGraph_t(init_value=g.raw_cuda_graph())
            nodes = int(runtime.cudaGraphGetNodes(raw)[2]) // inner
        except Exception as e:
            self.log(f"  (nodes not counted: {type(e).__name__} {e})"[:160])
        if hasattr(g, "instantiate"):
            try:
                g.instantiate()
            except Exception:
                pass  # a graph that was instantiated at the end of its capture

        def replay(keep=step):  # the graph's addresses live as long as the step's tensors do
            g.replay()
        return replay, nodes

    def case(self, part, name, make, *, seconds=None, unit="run", units=1, ops=0, moved=0, setup=1.0, **condition):
        """Measures what `make()` gives: a function that starts one run, or (function, nodes, more columns)."""
        dry = self.args.dry
        seconds = (seconds or self.args.window) * self.args.scale
        seconds, warm = (0.15, 0.02) if dry else (seconds, (1.0 if seconds >= 4 else 0.7) * min(1.0, 3 * self.args.scale))
        row = {"case": name, "unit": unit} | condition
        if self.left() < seconds + warm + setup + self.args.reserve:
            self.log(f"{part} {name}: skipped, out of time")
            return self.write(part, row | {"error": "skipped: out of time"})
        try:
            made = make()
            run, nodes, more = made if isinstance(made, tuple) and len(made) == 3 else (*made, {}) if isinstance(made, tuple) else (made, None, {})
            row |= more
            inner = row.pop("inner", 1)
            run()
            self.sync()
            t = time.monotonic()
            run(), run()
            self.sync()
            each = max((time.monotonic() - t) / 2, 1e-6)
            chunk = max(1, min(2000, int(0.06 / each)))
            self.drive(run, warm, chunk)
            n, t0, t1 = self.drive(run, seconds, chunk)
            span = self.meter.span(t0, t1)
            notes = "; ".join(x for x in (row.pop("notes", ""), span.pop("notes", "")) if x)
            t, w, idle = t1 - t0, span.get("watts"), self.idle
            total = n * inner
            row |= span | {"runs": total, "seconds": t, "units_per_run": units, "units_per_second": total * units / t,
                           "operations_per_run": ops, "bytes_per_run": moved, "kernels": nodes, "idle_watts": idle, "notes": notes}
            if w:
                row["joules_per_unit"] = w * t / (total * units)
            for amount, rate, divisor, energy in ((ops, "tflops", 1e12, "pj_per_operation"), (moved, "gigabytes_per_second", 1e9, "pj_per_byte")):
                if amount:
                    row[rate] = amount * total / t / divisor
                    if w:
                        row[energy] = w * t / (amount * total) * 1e12
                        if idle:
                            row[energy + "_above_idle"] = (w - idle) * t / (amount * total) * 1e12
            line = f"{part} {name}: {row['units_per_second']:.5g} {unit}/s, {w or float('nan'):.1f} W, {row.get('joules_per_unit', float('nan')):.4g} J/{unit}"
            line += "".join(f", {row[k]:.4g} {u}" for k, u in (("tflops", "TFLOP/s"), ("gigabytes_per_second", "GB/s"), ("sm_mhz", "MHz"), ("kernels", "kernels")) if row.get(k))
            self.log(line + f", reasons {row.get('throttle_reasons')}" + (f" ({notes})" if notes else ""))
            self.write(part, row)
            return row
        except Exception as e:
            self.log(f"{part} {name}: FAILED {type(e).__name__}: {str(e)[:300]}")
            self.log_file.write(traceback.format_exc())
            self.write(part, row | {"error": f"{type(e).__name__}: {str(e)[:300]}"})
        finally:
            made = run = None
            gc.collect()
            if self.cuda:
                try:
                    self.torch.cuda.synchronize()
                    self.torch.cuda.empty_cache()
                except Exception as e:
                    self.log(f"  (device in error: {str(e)[:120]})")

    def idle_span(self, name, seconds, settle=0.0):
        """Power while nothing runs."""
        if self.args.dry:
            seconds, settle = 0.2, 0.0
        time.sleep(settle)
        t0 = time.monotonic()
        time.sleep(seconds)
        span = self.meter.span(t0, time.monotonic())
        self.write("idle", {"case": name, "seconds": seconds, "unit": "second"} | span)
        self.log(f"idle {name}: {span.get('watts') or float('nan'):.1f} W (power reading {span.get('watts_power_reading') or float('nan'):.1f}), {span.get('sm_mhz')} MHz, {span.get('celsius_end')} C")
        return span.get("watts")


def conditions(bench, torch):
    c = {"python": platform.python_version(), "torch": torch.__version__, "dry": bench.args.dry, "argv": sys.argv,
         "kernel": platform.release(), "cpus": os.cpu_count(), "wall_clock": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
         "monotonic_start": START, "window_s": bench.args.window * bench.args.scale, "budget_s": bench.args.budget}
    try:
        c["cpu"] = next(l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name"))
    except Exception:
        pass
    if bench.cuda:
        import pynvml as nv
        nv.nvmlInit()
        d = nv.nvmlDeviceGetHandleByIndex(0)
        p = torch.cuda.get_device_properties(0)
        c |= {"multiprocessors": p.multi_processor_count, "l2_bytes": p.L2_cache_size, "memory_bytes": p.total_memory,
              "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
        for key, f, *a in [
            ("driver", nv.nvmlSystemGetDriverVersion), ("nvml", nv.nvmlSystemGetNVMLVersion), ("name", nv.nvmlDeviceGetName, d),
            ("vbios", nv.nvmlDeviceGetVbiosVersion, d), ("power_limit_mw", nv.nvmlDeviceGetEnforcedPowerLimit, d),
            ("power_limit_default_mw", nv.nvmlDeviceGetPowerManagementDefaultLimit, d),
            ("max_sm_mhz", nv.nvmlDeviceGetMaxClockInfo, d, nv.NVML_CLOCK_SM), ("max_memory_mhz", nv.nvmlDeviceGetMaxClockInfo, d, nv.NVML_CLOCK_MEM),
            ("ecc", nv.nvmlDeviceGetEccMode, d), ("persistence", nv.nvmlDeviceGetPersistenceMode, d), ("mig", nv.nvmlDeviceGetMigMode, d),
            ("compute_processes", lambda: len(nv.nvmlDeviceGetComputeRunningProcesses(d))), ("performance_state", nv.nvmlDeviceGetPerformanceState, d),
        ]:
            try:
                v = f(*a)
                c[key] = v.decode() if isinstance(v, bytes) else v
            except Exception as e:
                c[key] = f"not readable: {e}"
        for m in ("triton", "torchvision", "cuda.bindings"):
            try:
                c[m] = __import__(m, fromlist=["x"]).__version__
            except Exception as e:
                c[m] = f"missing: {e}"
    return c


# ---------------------------------------------------------------- fused element-wise kernels (Triton), with plain twins

triton = tl = torch = F = None
if "--sampler" not in sys.argv:
    import torch
    import torch.nn.functional as F
    try:
        import triton
        import triton.language as tl
    except Exception:
        triton = None

if triton:
    @triton.jit
    def add_norm_kernel(x, delta, weight, out, width, HAS_DELTA: tl.constexpr, BLOCK: tl.constexpr):
        row = tl.program_id(0).to(tl.int64)
        i = tl.arange(0, BLOCK)
        keep = i < width
        v = tl.load(x + row * width + i, mask=keep, other=0.0).to(tl.float32)
        if HAS_DELTA:
            v += tl.load(delta + row * width + i, mask=keep, other=0.0).to(tl.float32)
            tl.store(x + row * width + i, v.to(x.dtype.element_ty), mask=keep)
        scale = tl.rsqrt(tl.sum(v * v, 0) / width + 1e-5)
        w = tl.load(weight + i, mask=keep, other=0.0).to(tl.float32)
        tl.store(out + row * width + i, (v * scale * w).to(out.dtype.element_ty), mask=keep)

    @triton.jit
    def rope_cache_kernel(qkv, cos, sin, q, keys, values, tokens, first, cache, HQ: tl.constexpr, HK: tl.constexpr, HALF: tl.constexpr):
        row = tl.program_id(0).to(tl.int64)
        head = tl.program_id(1)
        sequence, place = row // tokens, row % tokens + first
        i = tl.arange(0, HALF)
        source = qkv + (row * (HQ + 2 * HK) + head) * (2 * HALF)
        a = tl.load(source + i).to(tl.float32)
        b = tl.load(source + HALF + i).to(tl.float32)
        if head < HQ + HK:
            c = tl.load(cos + place * HALF + i)
            s = tl.load(sin + place * HALF + i)
            ra = a * c - b * s
            rb = b * c + a * s
            if head < HQ:
                target = q + (row * HQ + head) * (2 * HALF)
            else:
                target = keys + ((sequence * HK + head - HQ) * cache + place) * (2 * HALF)
        else:
            ra = a
            rb = b
            target = values + ((sequence * HK + head - HQ - HK) * cache + place) * (2 * HALF)
        tl.store(target + i, ra.to(q.dtype.element_ty))
        tl.store(target + HALF + i, rb.to(q.dtype.element_ty))

    @triton.jit
    def silu_multiply_kernel(both, out, width, BLOCK: tl.constexpr):
        row = tl.program_id(0).to(tl.int64)
        i = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
        keep = i < width
        g = tl.load(both + row * 2 * width + i, mask=keep, other=0.0).to(tl.float32)
        u = tl.load(both + row * 2 * width + width + i, mask=keep, other=0.0).to(tl.float32)
        tl.store(out + row * width + i, (g * tl.sigmoid(g) * u).to(out.dtype.element_ty), mask=keep)


class Fused:
    """The element-wise work of a layer: by Triton, or by plain framework calls."""

    def __init__(self, by_triton):
        self.triton = by_triton

    def add_norm(self, x, delta, weight, dtype):
        if not self.triton:
            if delta is not None:
                x += delta
            return F.rms_norm(x, (x.shape[-1],), weight, 1e-5).to(dtype)
        out = torch.empty(x.shape, dtype=dtype, device=x.device)
        add_norm_kernel[(x.shape[0],)](x, x if delta is None else delta, weight, out, x.shape[1], delta is not None, triton.next_power_of_2(x.shape[1]), num_warps=8)
        return out

    def rope_cache(self, qkv, cos, sin, keys, values, tokens, first, heads):
        batch, kv_heads, cache, width = keys.shape
        if not self.triton:
            z = qkv.view(batch, tokens, heads + 2 * kv_heads, width)
            c, s = cos[first:first + tokens, None], sin[first:first + tokens, None]
            a, b = z[:, :, :heads + kv_heads].float().chunk(2, -1)
            turned = torch.cat((a * c - b * s, b * c + a * s), -1).to(qkv.dtype)
            keys[:, :, first:first + tokens] = turned[:, :, heads:].transpose(1, 2)
            values[:, :, first:first + tokens] = z[:, :, heads + kv_heads:].transpose(1, 2)
            return turned[:, :, :heads].contiguous()
        q = torch.empty(batch, tokens, heads, width, dtype=qkv.dtype, device=qkv.device)
        rope_cache_kernel[(batch * tokens, heads + 2 * kv_heads)](qkv, cos, sin, q, keys, values, tokens, first, cache, heads, kv_heads, width // 2, num_warps=1)
        return q

    def silu_multiply(self, both, dtype):
        width = both.shape[1] // 2
        if not self.triton:
            return (F.silu(both[:, :width]) * both[:, width:]).to(dtype)
        out = torch.empty(both.shape[0], width, dtype=dtype, device=both.device)
        silu_multiply_kernel[(both.shape[0], triton.cdiv(width, 1024))](both, out, width, 1024, num_warps=4)
        return out


def check_fused(device):
    """Largest relative difference between the Triton kernels and their plain twins, on fresh random inputs."""
    a, b, dt = Fused(True), Fused(False), torch.bfloat16
    far = lambda p, q: ((p.float() - q.float()).norm() / q.float().norm()).item()
    x, d, w = (torch.randn(s, device=device).to(dt) for s in ((6, 96), (6, 96), (96,)))
    x1, x2 = x.clone(), x.clone()
    worst = [far(a.add_norm(x1, d, w, dt), b.add_norm(x2, d, w, dt)), far(x1, x2), far(a.add_norm(x, None, w, dt), b.add_norm(x, None, w, dt))]
    angle = torch.rand(16, 16, device=device)
    qkv = torch.randn(6, 8 * 32, device=device).to(dt)
    k1, v1, k2, v2 = (torch.full((2, 2, 16, 32), 7.0, device=device, dtype=dt) for _ in range(4))
    q1, q2 = a.rope_cache(qkv, angle.cos(), angle.sin(), k1, v1, 3, 5, 4), b.rope_cache(qkv, angle.cos(), angle.sin(), k2, v2, 3, 5, 4)
    both = torch.randn(6, 2 * 1500, device=device).to(dt)
    return max(worst + [far(q1, q2), far(k1, k2), far(v1, v2), far(a.silu_multiply(both, dt), b.silu_multiply(both, dt))])


# ---------------------------------------------------------------- products in several formats

def pattern_2_of_4(w):
    """Sets two of every four neighbours to zero, which two at random."""
    table = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 0, 1], [0, 0, 1, 1]], dtype=w.dtype, device=w.device)
    pick = torch.randint(0, 6, (w.numel() // 4,), device=w.device)
    return (w.view(-1, 4) * table[pick]).view_as(w)


def fp8(x):
    return x.to(torch.float8_e4m3fn)


def product(kind, m, n, k, device, zeros=False):
    """A function that multiplies random m x k by k x n; bytes of one element of each operand and of the result."""
    def random(rows, cols, dtype):
        z = torch.zeros if zeros else torch.randn
        return z(rows, cols, device=device, dtype=torch.float32 if rows * cols < 1e9 else dtype).to(dtype)
    one = torch.ones((), device=device)
    if kind in ("bf16", "fp16", "fp32", "tf32"):
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(kind, torch.float32)
        torch.backends.cuda.matmul.allow_tf32 = kind == "tf32"
        a, b = random(m, k, dtype), random(n, k, dtype).t()
        out = torch.empty(m, n, device=device, dtype=dtype)
        size = dtype.itemsize
        return (lambda: torch.mm(a, b, out=out)), (size, size, size)
    if kind == "fp8":
        a, b = fp8(random(m, k, torch.bfloat16)), fp8(random(n, k, torch.bfloat16)).t()
        return (lambda: torch._scaled_mm(a, b, scale_a=one, scale_b=one, out_dtype=torch.bfloat16, use_fast_accum=True)), (1, 1, 2)
    if kind == "int8":
        a, b = (torch.randint(-127, 128, s, device=device, dtype=torch.int8) for s in ((m, k), (n, k)))
        b = b.t()
        return (lambda: torch._int_mm(a, b)), (1, 1, 4)
    if kind == "fp16-2:4":
        w = torch.sparse.to_sparse_semi_structured(pattern_2_of_4(random(n, k, torch.float16)))
        x = random(m, k, torch.float16)
        return (lambda: F.linear(x, w)), (2, 2 * 0.5625, 2)
    if kind == "fp8-2:4":
        w = torch._cslt_compress(fp8(pattern_2_of_4(random(n, k, torch.bfloat16))))
        x = fp8(random(m, k, torch.bfloat16)).t()
        return (lambda: torch._cslt_sparse_mm(w, x, alpha=torch.ones(1, device=device), out_dtype=torch.bfloat16)), (1, 0.625, 2)
    raise ValueError(kind)


def check_products(device):
    """Relative error of each product against single precision."""
    out = {}
    torch.backends.cuda.matmul.allow_tf32 = False
    x, w = torch.randn(256, 512, device=device), torch.randn(384, 512, device=device)
    far = lambda p, q: ((p.float() - q).norm() / q.norm()).item()
    one = torch.ones((), device=device)

    def int_mm():
        a, b = x.mul(20).to(torch.int8), w.mul(20).to(torch.int8)
        return far(torch._int_mm(a, b.t()), a.float() @ b.float().t())

    def sparse():
        p = pattern_2_of_4(w.half())
        return far(F.linear(x.half(), torch.sparse.to_sparse_semi_structured(p)), x @ p.float().t())
    for name, f in (("bf16", lambda: far(x.bfloat16() @ w.bfloat16().t(), x @ w.t())), ("int8", int_mm), ("fp16-2:4", sparse),
                    ("fp8", lambda: far(torch._scaled_mm(fp8(x), fp8(w).t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16), x @ w.t()))):
        try:
            out[name] = f()
        except Exception as e:
            out[name] = f"{type(e).__name__}: {str(e)[:200]}"
    return out


# ---------------------------------------------------------------- language models

LLAMAS = {  # assets/architectures/llama-3-1-8b.ron, llama-3-2-1b.ron
    "llama-3-1-8b": dict(hidden=4096, layers=32, heads=32, kv_heads=8, width=128, ffn=14336, vocabulary=128256, tied=False),
    "llama-3-2-1b": dict(hidden=2048, layers=16, heads=32, kv_heads=8, width=64, ffn=8192, vocabulary=128256, tied=True),
    "tiny": dict(hidden=128, layers=2, heads=8, kv_heads=2, width=16, ffn=256, vocabulary=512, tied=False),
}


class Llama:
    """A network of that shape with random weights. Formats of the layers' weights: bf16, fp8 (with 8-bit activations),
    int4 (groups of 128, 16-bit arithmetic), bf16-2:4. Embedding, head and cache stay in 16 bit."""

    def __init__(self, name, kind, device, fused):
        self.__dict__.update(LLAMAS[name])
        self.name, self.kind, self.device, self.fused = name, kind, device, fused
        self.input_dtype = torch.float8_e4m3fn if kind == "fp8" else torch.bfloat16
        self.one, self.padded = torch.ones((), device=device), False  # padded: FP8 products of at least 16 rows
        h, q = self.hidden, self.heads * self.width
        shapes = dict(qkv=(q + 2 * self.kv_heads * self.width, h), o=(h, q), up=(2 * self.ffn, h), down=(h, self.ffn))
        self.linear_weights = sum(a * b for a, b in shapes.values()) * self.layers
        self.stack = [{k: self.pack(torch.empty(s, dtype=torch.bfloat16, device=device).normal_(0, 0.02)) for k, s in shapes.items()}
                      | {"n1": torch.ones(h, dtype=torch.bfloat16, device=device), "n2": torch.ones(h, dtype=torch.bfloat16, device=device)}
                      for _ in range(self.layers)]
        self.norm = torch.ones(h, dtype=torch.bfloat16, device=device)
        self.embedding = torch.empty(self.vocabulary, h, dtype=torch.bfloat16, device=device).normal_(0, 0.02)
        self.head = self.embedding if self.tied else torch.empty_like(self.embedding).normal_(0, 0.02)
        angle = torch.arange(8192 + 16, device=device)[:, None] * (5e5 ** (-torch.arange(self.width // 2, device=device) / (self.width // 2)))
        self.cos, self.sin = angle.cos(), angle.sin()
        per_weight = {"bf16": 2, "fp8": 1, "int4": 0.5 + 4 / 128, "bf16-2:4": 1 + 0.125}[kind]
        self.weight_bytes = self.linear_weights * per_weight + self.head.numel() * 2

    def pack(self, w):
        if self.kind == "fp8":
            return fp8(w * 64).t(), torch.full((), 1 / 64, device=w.device)
        if self.kind == "int4":
            n, k = w.shape
            nibbles = torch.randint(0, 256, (n, k // 2), dtype=torch.uint8, device=w.device)
            scales = torch.stack((torch.full((k // 128, n), 0.005, device=w.device), torch.zeros(k // 128, n, device=w.device)), -1)
            return torch.ops.aten._convert_weight_to_int4pack(nibbles, 8), scales.bfloat16().contiguous()
        if self.kind == "bf16-2:4":
            return torch.sparse.to_sparse_semi_structured(pattern_2_of_4(w))
        return w

    def linear(self, x, w):
        if self.kind == "fp8":
            rows = x.shape[0]
            if self.padded and rows < 16:
                x = torch.cat((x, x.new_zeros(16 - rows, x.shape[1])))
            return torch._scaled_mm(x, w[0], scale_a=self.one, scale_b=w[1], out_dtype=torch.bfloat16, use_fast_accum=True)[:rows]
        if self.kind == "int4":
            return torch.ops.aten._weight_int4pack_mm(x, w[0], 128, w[1])
        return F.linear(x, w)

    def caches(self, batch, length):
        shape = (batch, self.kv_heads, length, self.width)
        return [tuple(torch.empty(shape, dtype=torch.bfloat16, device=self.device).normal_() for _ in "kv") for _ in range(self.layers)]

    def attend(self, q, keys, values, tokens):
        batch = keys.shape[0]
        if tokens == 1:  # the query heads of one key head are the rows of one small product: keys are read once
            q = q.view(batch, self.kv_heads, self.heads // self.kv_heads, self.width)
            return F.scaled_dot_product_attention(q, keys, values).reshape(batch, -1)
        z = F.scaled_dot_product_attention(q.transpose(1, 2), keys[:, :, :tokens], values[:, :, :tokens], is_causal=True, enable_gqa=True)
        return z.transpose(1, 2).reshape(batch * tokens, -1)

    def forward(self, ids, caches, tokens, first):
        x, delta, batch = F.embedding(ids, self.embedding), None, caches[0][0].shape[0]
        for layer, (keys, values) in zip(self.stack, caches):
            y = self.fused.add_norm(x, delta, layer["n1"], self.input_dtype)
            q = self.fused.rope_cache(self.linear(y, layer["qkv"]), self.cos, self.sin, keys, values, tokens, first, self.heads)
            z = self.attend(q, keys, values, tokens)
            delta = self.linear(z.to(self.input_dtype), layer["o"])
            y = self.fused.add_norm(x, delta, layer["n2"], self.input_dtype)
            delta = self.linear(self.fused.silu_multiply(self.linear(y, layer["up"]), self.input_dtype), layer["down"])
        if tokens > 1:
            x, delta = (v.view(batch, tokens, -1)[:, -1].contiguous() for v in (x, delta))
        return F.linear(self.fused.add_norm(x, delta, self.norm, torch.bfloat16), self.head).argmax(-1)

    def decode(self, batch, context):
        """One step of a batch: the last of `context` positions is written, the token chosen feeds the next step."""
        ids, caches = torch.randint(0, self.vocabulary, (batch,), device=self.device), self.caches(batch, context)
        attention = 4 * batch * self.heads * self.width * context * self.layers
        ops = 2 * (self.linear_weights + self.head.numel()) * batch + attention
        moved = self.weight_bytes + batch * context * 2 * 2 * self.kv_heads * self.width * self.layers

        def step():
            ids.copy_(self.forward(ids, caches, 1, context - 1))
        return step, ops, moved

    def prefill(self, batch, tokens):
        ids, caches = torch.randint(0, self.vocabulary, (batch * tokens,), device=self.device), self.caches(batch, tokens)
        attention = 4 * batch * self.heads * self.width * tokens * (tokens + 1) / 2 * self.layers
        ops = 2 * self.linear_weights * batch * tokens + 2 * self.head.numel() * batch + attention
        return (lambda: self.forward(ids, caches, tokens, 0)), ops, self.weight_bytes + batch * tokens * 4 * self.kv_heads * self.width * self.layers


def language(bench, fused, name, kind, plan):
    """Cases of one network in one format: (decode or prefill, graph or eager, batch, context or tokens, seconds)."""
    if bench.left() < 15 + bench.args.reserve:
        return bench.log(f"language {name} {kind}: skipped, out of time")
    try:
        t = time.monotonic()
        network = Llama("tiny" if bench.args.dry else name, kind, bench.device, fused)
        bench.sync()
        bench.log(f"built {name} {kind} in {time.monotonic() - t:.1f} s")
    except Exception as e:
        bench.log(f"language {name} {kind}: not built: {type(e).__name__}: {str(e)[:300]}")
        bench.write("language", {"case": "build", "network": name, "format": kind, "error": f"{type(e).__name__}: {str(e)[:300]}"})
        return
    for what, runtime, batch, length, seconds in plan:
        if bench.args.dry:
            batch, length = min(batch, 3), min(length, 24)
        def make():
            step, _, _ = getattr(network, what)(batch, length)
            if kind == "fp8" and not network.padded:
                try:
                    step(), bench.sync()
                except RuntimeError as e:
                    bench.log(f"  padding FP8 products to 16 rows: {str(e)[:200]}")
                    network.padded = True
            return (*bench.graph(step), {}) if runtime == "graph" else step
        tokens = batch * (length if what == "prefill" else 1)
        probe = object.__new__(Llama)
        probe.__dict__.update(network.__dict__)
        probe.caches = lambda *a: None  # counting needs no memory
        _, ops, moved = getattr(probe, what)(batch, length)
        with torch.no_grad():
            bench.case("language", f"{name} {kind} {what} {runtime} batch {batch} length {length}", make, seconds=seconds, unit="token", units=tokens,
                       ops=ops, moved=moved, network=name, format=kind, runtime=runtime, batch=batch,
                       notes="elementwise: " + ("triton" if fused.triton else "plain"), **{"prompt" if what == "prefill" else "context": length})
    del network, probe
    gc.collect()
    if bench.cuda:
        torch.cuda.empty_cache()


# ---------------------------------------------------------------- image networks

class ResNet50:
    """ResNet-50 v1.5 with folded normalisation and random weights; convolution, bias, sum and ReLU in one call (fused)
    or as the framework's separate calls."""

    def __init__(self, device, dtype, fused):
        self.fused, self.dtype, self.device, self.macs = fused, dtype, device, 0
        self.stem = self.conv(3, 64, 7, 2)
        self.blocks, inside, size = [], 64, 56
        self.macs += 112 * 112 * 64 * 3 * 49
        for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
            for i in range(count):
                s = stride if i == 0 else 1
                out = size // s
                self.blocks.append([self.conv(inside, width, 1, 1), self.conv(width, width, 3, s), self.conv(width, 4 * width, 1, 1, 0.3),
                                    self.conv(inside, 4 * width, 1, s) if i == 0 else None])
                self.macs += size * size * inside * width + out * out * width * (9 * width + 4 * width) + (out * out * inside * 4 * width if i == 0 else 0)
                inside, size = 4 * width, out
        self.head = torch.randn(1000, 2048, device=device).mul(0.02).to(dtype)
        self.macs += 2048 * 1000

    def conv(self, i, o, k, stride, gain=1.0):
        w = torch.randn(o, i, k, k, device=self.device) * gain * (2 / (i * k * k)) ** 0.5
        return w.to(self.dtype).contiguous(memory_format=torch.channels_last), torch.zeros(o, device=self.device, dtype=self.dtype), stride, k // 2

    def relu(self, x, c, add=None):
        w, b, s, p = c
        if self.fused:
            if add is None:
                return torch.cudnn_convolution_relu(x, w, b, (s, s), (p, p), (1, 1), 1)
            return torch.cudnn_convolution_add_relu(x, w, add, 1.0, b, (s, s), (p, p), (1, 1), 1)
        y = F.conv2d(x, w, b, s, p)
        return (y if add is None else y.add_(add)).relu_()

    def __call__(self, x):
        x = F.max_pool2d(self.relu(x, self.stem), 3, 2, 1)
        for a, b, c, side in self.blocks:
            rest = x if side is None else F.conv2d(x, side[0], side[1], side[2], side[3])
            x = self.relu(self.relu(self.relu(x, a), b), c, rest)
        return F.linear(x.mean((2, 3)), self.head)


if torch:
    nn = torch.nn

    class ResBlock(nn.Module):
        def __init__(self, i, o, groups, time):
            super().__init__()
            self.n1, self.c1, self.t = nn.GroupNorm(groups, i), nn.Conv2d(i, o, 3, padding=1), nn.Linear(time, o)
            self.n2, self.c2 = nn.GroupNorm(groups, o), nn.Conv2d(o, o, 3, padding=1)
            self.side = nn.Conv2d(i, o, 1) if i != o else nn.Identity()

        def forward(self, x, t):
            y = self.c1(F.silu(self.n1(x))) + self.t(F.silu(t))[:, :, None, None]
            return self.side(x) + self.c2(F.silu(self.n2(y)))

    class Attention(nn.Module):
        def __init__(self, c, context, heads):
            super().__init__()
            self.heads, self.q, self.k, self.v = heads, nn.Linear(c, c, bias=False), nn.Linear(context, c, bias=False), nn.Linear(context, c, bias=False)
            self.o = nn.Linear(c, c)

        def forward(self, x, y):
            split = lambda z: z.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            return self.o(F.scaled_dot_product_attention(split(self.q(x)), split(self.k(y)), split(self.v(y))).transpose(1, 2).flatten(2))

    class Mixer(nn.Module):
        """Transformer layers over the pixels of a feature map, which look at the text as well."""

        def __init__(self, c, depth, context, heads, groups):
            super().__init__()
            self.norm, self.into, self.back = nn.GroupNorm(groups, c), nn.Linear(c, c), nn.Linear(c, c)
            self.layers = nn.ModuleList(nn.ModuleList([nn.LayerNorm(c), Attention(c, c, heads), nn.LayerNorm(c), Attention(c, context, heads),
                                                       nn.LayerNorm(c), nn.Linear(c, 8 * c), nn.Linear(4 * c, c)]) for _ in range(depth))

        def forward(self, x, text):
            b, c, h, w = x.shape
            y = self.into(self.norm(x).permute(0, 2, 3, 1).reshape(b, h * w, c))
            for n1, own, n2, cross, n3, up, down in self.layers:
                z = n1(y)
                y = y + own(z, z)
                y = y + cross(n2(y), text)
                a, g = up(n3(y)).chunk(2, -1)
                y = y + down(a * F.gelu(g))
            return x + self.back(y).view(b, h, w, c).permute(0, 3, 1, 2)

    class UNet(nn.Module):
        def __init__(self, channels, depths, middle, context, heads, groups=32, extra=0):
            super().__init__()
            time, n = 4 * channels[0], len(channels)
            self.first = channels[0]
            self.t1, self.t2, self.into = nn.Linear(channels[0], time), nn.Linear(time, time), nn.Conv2d(4, channels[0], 3, padding=1)
            self.extra = nn.Sequential(nn.Linear(extra, time), nn.SiLU(), nn.Linear(time, time)) if extra else None
            mixer = lambda c, d: Mixer(c, d, context, heads(c), groups) if d else None
            self.down, self.up, skips, c = nn.ModuleList(), nn.ModuleList(), [channels[0]], channels[0]
            for i, o in enumerate(channels):
                for _ in range(2):
                    self.down.append(nn.ModuleList([ResBlock(c, o, groups, time), mixer(o, depths[i])]))
                    c = o
                    skips.append(c)
                if i < n - 1:
                    self.down.append(nn.ModuleList([nn.Conv2d(c, c, 3, stride=2, padding=1)]))
                    skips.append(c)
            self.m1, self.mm, self.m2 = ResBlock(c, c, groups, time), mixer(c, middle), ResBlock(c, c, groups, time)
            for i in reversed(range(n)):
                for j in range(3):
                    parts = [ResBlock(c + skips.pop(), channels[i], groups, time), mixer(channels[i], depths[i])]
                    c = channels[i]
                    if j == 2 and i:
                        parts.append(nn.Conv2d(c, c, 3, padding=1))
                    self.up.append(nn.ModuleList(parts))
            self.norm, self.out = nn.GroupNorm(groups, c), nn.Conv2d(c, 4, 3, padding=1)

        def forward(self, x, t, text, extra=None):
            t = self.t2(F.silu(self.t1(t)))
            if self.extra is not None:
                t = t + self.extra(extra)
            x = self.into(x)
            kept = [x]
            for parts in self.down:
                if len(parts) == 1:
                    x = parts[0](x)
                else:
                    x = parts[0](x, t)
                    x = parts[1](x, text) if parts[1] is not None else x
                kept.append(x)
            x = self.m2(self.mm(self.m1(x, t), text), t)
            for parts in self.up:
                x = parts[0](torch.cat((x, kept.pop()), 1), t)
                x = parts[1](x, text) if parts[1] is not None else x
                if len(parts) == 3:
                    x = parts[2](F.interpolate(x, scale_factor=2.0))
            return self.out(F.silu(self.norm(x)))

UNETS = {  # assets/architectures/stable-diffusion-v1-5.ron, stable-diffusion-xl.ron; head width 64 in SDXL, 8 heads in SD 1.5
    "stable-diffusion-v1-5": (dict(channels=(320, 640, 1280, 1280), depths=(1, 1, 1, 0), middle=1, context=768, heads=lambda c: 8), 64),
    "stable-diffusion-xl": (dict(channels=(320, 640, 1280), depths=(0, 2, 10), middle=10, context=2048, heads=lambda c: c // 64, extra=2816), 128),
    "tiny": (dict(channels=(32, 64), depths=(0, 1), middle=1, context=16, heads=lambda c: 4, groups=8, extra=8), 8),
}


def unet(bench, name, plan):
    """Denoising steps: (graph or eager, images at once, seconds). Two passes an image, for guidance."""
    if bench.left() < 12 + bench.args.reserve:
        return bench.log(f"image {name}: skipped, out of time")
    try:
        shape, side = UNETS["tiny" if bench.args.dry else name]
        with torch.device(bench.device):
            network = UNet(**shape)
        dtype = torch.float16 if bench.cuda else torch.float32
        network = network.to(dtype=dtype, memory_format=torch.channels_last).eval().requires_grad_(False)
        bench.log(f"built {name}: {sum(p.numel() for p in network.parameters()) / 1e6:.0f} M parameters")
        ops = 0
        for runtime, images, seconds in plan:
            def inputs(images):
                b = 2 * images
                z = lambda *s: torch.randn(s, device=bench.device, dtype=dtype)
                return [z(b, 4, side, side).contiguous(memory_format=torch.channels_last), z(b, shape["channels"][0]), z(b, 77, shape["context"]),
                        z(b, shape["extra"]) if "extra" in shape else None]
            if not ops:
                from torch.utils.flop_counter import FlopCounterMode
                with torch.no_grad(), FlopCounterMode(display=False) as counter:
                    network(*inputs(1))
                ops = counter.get_total_flops()

            def make():
                x = inputs(images)
                step = lambda: network(*x)
                return (*bench.graph(step), {}) if runtime == "graph" else step
            with torch.no_grad():
                bench.case("image", f"{name} {runtime} {images} at once", make, seconds=seconds, unit="step", units=images, ops=ops * images,
                           network=name, format="fp16", runtime=runtime, batch=images, setup=3.0,
                           notes="a step is one image's two passes; operations counted by the framework")
    except Exception as e:
        bench.log(f"image {name}: FAILED {type(e).__name__}: {str(e)[:300]}")
        bench.write("image", {"case": "build", "network": name, "error": f"{type(e).__name__}: {str(e)[:300]}"})


def resnet(bench, plan):
    """(graph or eager, batch, seconds); the faster of the fused and the separate form is measured in graphs."""
    dtype = torch.float16 if bench.cuda else torch.float32
    side, forms = 224 if bench.cuda else 64, [True, False] if bench.cuda else [False]
    for runtime, batch, seconds in plan:
        if bench.args.dry:
            batch = min(batch, 2)

        def make():
            x = torch.randn(batch, 3, side, side, device=bench.device, dtype=dtype).contiguous(memory_format=torch.channels_last)
            best = None
            for fused in list(forms):
                try:
                    network = ResNet50(bench.device, dtype, fused)
                    step = lambda network=network: network(x)
                    run, nodes = bench.graph(step) if runtime == "graph" else (step, None)
                    run(), bench.sync()
                    t = time.monotonic()
                    for _ in range(10 if bench.cuda else 1):
                        run()
                    bench.sync()
                    t = time.monotonic() - t
                    if best is None or t < best[0]:
                        best = (t, run, nodes, "fused calls" if fused else "separate calls", fused)
                except Exception as e:
                    bench.log(f"  resnet-50 fused={fused}: {type(e).__name__}: {str(e)[:200]}")
            forms[:] = [best[4]]  # the faster one for all batches
            return best[1], best[2], {"notes": best[3]}
        with torch.no_grad():
            bench.case("image", f"resnet-50 {runtime} batch {batch}", make, seconds=seconds, unit="image", units=batch, ops=2 * RESNET_MACS * batch,
                       network="resnet-50", format="fp16", runtime=runtime, batch=batch, setup=3.0)


RESNET_MACS = 4_089_184_256  # multiply-accumulates of ResNet-50 v1.5 at 224 x 224; ResNet50.macs counts the same


# ---------------------------------------------------------------- memory and products

def memory(bench, seconds, plan):
    """Pure streaming, from device memory (4 GiB) or from the on-chip cache (16 MiB in all)."""
    for what in plan:
        size = (1 << 20) if bench.args.dry else (8 << 20) if "cache" in what else (4 << 30)

        def make():
            a = torch.randn(size // 4, device=bench.device)
            b = torch.empty_like(a) if "read" not in what else None
            step = {"copy": lambda: b.copy_(a), "read": lambda: a.sum(), "write": lambda: b.fill_(1.5), "add": lambda: torch.add(b, a, out=b)}[what.split()[0]]
            if "cache" in what:
                run, nodes = bench.graph(step, 100)
                return run, nodes, {"inner": 100, "runtime": "graph"}
            return step, None, {"runtime": "eager"}
        factor = {"copy": 2, "read": 1, "write": 1, "add": 3}[what.split()[0]]
        bench.case("micro", f"memory {what}", make, seconds=seconds, unit="run", moved=size * factor, format="fp32", m=size)


def products(bench, seconds, plan):
    """Matrix products m x k by k x n; small ones many times in a captured graph."""
    for kind, m, n, k, *more in plan:
        if bench.args.dry:
            m, n, k = (min(v, 128) for v in (m, n, k))

        def make():
            torch.manual_seed(1)
            step, _ = product(kind, m, n, k, bench.device, zeros="zeros" in more)
            step()
            if 2 * m * n * k < 1e11 and bench.cuda:
                try:
                    run, nodes = bench.graph(step, 50)
                    return run, nodes, {"inner": 50, "runtime": "graph"}
                except Exception as e:
                    torch.cuda.synchronize()
                    bench.log(f"  {kind}: no graph ({type(e).__name__}: {str(e)[:120]})")
            return step, None, {"runtime": "eager"}
        sizes = {"bf16": (2, 2, 2), "fp16": (2, 2, 2), "fp32": (4, 4, 4), "tf32": (4, 4, 4), "fp8": (1, 1, 2), "int8": (1, 1, 4), "fp16-2:4": (2, 1.125, 2), "fp8-2:4": (1, 0.625, 2)}[kind]
        ops, moved = 2 * m * n * k, int(m * k * sizes[0] + n * k * sizes[1] + m * n * sizes[2])
        note = "operations counted dense; " if "2:4" in kind else ""
        bench.case("micro", f"product {kind} {m} x {n} x {k}" + "".join(" " + x for x in more), make, seconds=seconds, unit="run", ops=ops, moved=moved,
                   format=kind, m=m, n=n, k=k, notes=note + "zeros" if "zeros" in more else note + "random data")


def spinning(bench, seconds):
    """One multiprocessor waits in a loop: clocks run, almost nothing switches."""
    def make():
        if not bench.cuda:
            return lambda: None
        return lambda: torch.cuda._sleep(20_000_000)
    bench.case("micro", "spin on one multiprocessor", make, seconds=seconds)


def tiny_kernels(bench, seconds):
    """Kernels that do next to nothing, back to back in a graph, and started one by one: what a launch costs."""
    def make(runtime):
        x = torch.zeros(32, device=bench.device)
        step = lambda: x.add_(1.0)
        if runtime == "graph":
            run, nodes = bench.graph(step, 1000)
            return run, nodes, {"inner": 1000, "runtime": runtime}
        return step, None, {"runtime": runtime}
    for runtime in ("graph", "eager"):
        bench.case("micro", f"empty kernels {runtime}", lambda: make(runtime), seconds=seconds, unit="kernel")


# ---------------------------------------------------------------- the plan

def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--out", default=os.environ.get("OUT", "h100-out"))
    p.add_argument("--budget", type=float, default=475.0, help="seconds in all")
    p.add_argument("--window", type=float, default=6.0, help="seconds of a main window")
    p.add_argument("--scale", type=float, default=1.0, help="factor on all windows")
    p.add_argument("--reserve", type=float, default=12.0, help="seconds kept for the idle power at the end")
    p.add_argument("--only", default="", help="parts by a word in their label, separated by commas")
    p.add_argument("--dry", action="store_true")
    p.add_argument("--after", default="", help="go on after this group, appending to the files")
    p.add_argument("--sampler", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.sampler:
        return sample_forever(args.sampler, args.dry, args.budget)
    os.makedirs(args.out, exist_ok=True)
    bench = Bench(args, torch)
    try:
        measure(bench, args)
    except BaseException:
        bench.log_file.write(traceback.format_exc())
        traceback.print_exc()
    finally:
        bench.meter.stop()
        bench.log(f"end, {bench.left():.0f} s of the budget left")
    sys.stdout.flush()
    os._exit(0)  # no waiting for a device that may be in error


def measure(bench, args):
    if bench.cuda:
        torch.zeros(1, device="cuda")
        torch.cuda.synchronize()
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.enable_cudnn_sdp(False)
    ready = bench.meter.wait_ready()
    facts = conditions(bench, torch)
    bench.log(f"sampler ready: {ready}; " + ", ".join(str(facts.get(k)) for k in ("name", "driver", "torch", "cuda", "triton", "power_limit_mw", "cpu")))
    if args.after:
        with contextlib.suppress(Exception):
            bench.idle = json.load(open(os.path.join(args.out, "conditions.json")))["idle_watts"]
    else:
        bench.idle = facts["idle_watts"] = bench.idle_span("context open, before any work", 6.0 * args.scale, settle=1.5)
    fused = Fused(False)
    if triton and (bench.cuda or os.environ.get("TRITON_INTERPRET") == "1"):
        try:
            with torch.no_grad():
                worst = check_fused(bench.device)
            facts["fused_kernels_difference"] = worst
            fused = Fused(worst < 0.02)
        except Exception as e:
            facts["fused_kernels_difference"] = f"{type(e).__name__}: {str(e)[:300]}"
            bench.log_file.write(traceback.format_exc())
    with torch.no_grad():
        facts["product_errors"] = check_products(bench.device)
    facts["resnet_macs_counted"] = ResNet50("cpu", torch.float32, False).macs
    if not args.after:
        with open(os.path.join(args.out, "conditions.json"), "w") as f:
            json.dump(facts, f, indent=1, default=str)
    bench.log(f"fused kernels: {facts.get('fused_kernels_difference')}; products: {facts['product_errors']}; ResNet-50 MACs {facts['resnet_macs_counted']}")
    g, e, short = "graph", "eager", 3.5
    big = "llama-3-1-8b"
    steps = [
        ("llama-8b", lambda: language(bench, fused, big, "bf16", [
            ("decode", g, 1, 1024, None), ("decode", g, 16, 1024, None), ("decode", g, 64, 1024, None), ("decode", g, 256, 1024, None),
            ("decode", e, 1, 1024, None), ("decode", e, 64, 1024, None), ("prefill", g, 1, 1024, None), ("prefill", g, 8, 1024, None),
            ("decode", g, 4, 1024, short), ("decode", g, 128, 1024, short), ("decode", g, 16, 4096, short), ("decode", g, 64, 128, short)])),
        ("micro-main", lambda: (spinning(bench, 5.0), memory(bench, 5.0, ("copy", "read")),
                                products(bench, 5.0, [(k, 8192, 8192, 8192) for k in ("bf16", "fp8", "int8", "fp16-2:4")]))),
        ("resnet", lambda: resnet(bench, [(g, 64, 5.0), (g, 1, 5.0), (g, 256, short), (g, 8, short), (e, 1, short)])),
        ("llama-8b-fp8", lambda: language(bench, fused, big, "fp8", [("decode", g, 1, 1024, 5.0), ("decode", g, 64, 1024, 5.0), ("decode", g, 256, 1024, short), ("prefill", g, 8, 1024, short)])),
        ("llama-1b", lambda: language(bench, fused, "llama-3-2-1b", "bf16", [
            ("decode", g, 1, 1024, 5.0), ("decode", g, 64, 1024, 5.0), ("decode", e, 1, 1024, 5.0), ("decode", g, 256, 1024, short), ("decode", g, 16, 1024, short),
            ("prefill", g, 8, 1024, short), ("decode", e, 64, 1024, short), ("prefill", g, 1, 1024, short), ("decode", g, 4, 1024, short), ("decode", g, 128, 1024, short)])),
        ("llama-8b-int4", lambda: language(bench, fused, big, "int4", [("decode", g, 1, 1024, 5.0), ("decode", g, 16, 1024, short), ("decode", g, 64, 1024, short)])),
        ("sizes", lambda: (products(bench, 2.5, [("bf16", n, n, n) for n in (16384, 4096, 2048, 1024, 512)] + [("fp8", n, n, n) for n in (16384, 4096, 2048, 1024)]
                                    + [("fp16-2:4", n, n, n) for n in (16384, 4096, 2048)] + [("int8", n, n, n) for n in (16384, 4096, 2048)]),
                           memory(bench, 2.5, ("write", "add in cache")), tiny_kernels(bench, 2.5))),
        ("sdxl", lambda: unet(bench, "stable-diffusion-xl", [(g, 1, 5.0), (e, 1, short)])),
        ("sd15", lambda: unet(bench, "stable-diffusion-v1-5", [(g, 1, short), (g, 8, short)])),
        ("llama-8b-2:4", lambda: language(bench, fused, big, "bf16-2:4", [("decode", g, 64, 1024, short), ("decode", g, 16, 1024, short)])),
        ("skinny", lambda: products(bench, 2.5, [(k, m, 28672, 4096) for m in (64, 256) for k in ("bf16", "fp8", "fp16-2:4", "int8")]
                                    + [("tf32", 8192, 8192, 8192), ("fp32", 4096, 4096, 4096), ("bf16", 8192, 8192, 8192, "zeros"), ("fp8-2:4", 8192, 8192, 8192)])),
    ]
    wanted = [w for w in args.only.split(",") if w]
    passed = not args.after
    for label, step in steps:
        if not passed or (wanted and not any(w in label for w in wanted)):
            passed = passed or label == args.after
            continue
        bench.log(f"-- {label} ({bench.left():.0f} s left)")
        try:
            step()
        except Exception as error:
            bench.log(f"{label}: FAILED {type(error).__name__}: {str(error)[:300]}")
            bench.log_file.write(traceback.format_exc())
        gc.collect()
        try:
            if bench.cuda:
                torch.cuda.synchronize()
                torch.cuda.empty_cache()
        except Exception as error:  # such errors last as long as the process: the rest is for a new one
            bench.log(f"{label}: the device is in error ({str(error)[:200]}); starting anew after this group")
            bench.meter.stop()
            sys.stdout.flush()
            if not args.after and bench.left() > 40:
                os.execv(sys.executable, [sys.executable, os.path.abspath(__file__), "--out", args.out, "--budget", str(bench.left()), "--window", str(args.window),
                                          "--scale", str(args.scale), "--reserve", str(args.reserve), "--only", args.only, "--after", label])
            return
    bench.idle_span("context open, just after work", 3.0 * args.scale)
    if bench.left() > 6:
        bench.idle_span("context open, later", min(5.0, bench.left() - 2) * args.scale)


if __name__ == "__main__":
    main()
