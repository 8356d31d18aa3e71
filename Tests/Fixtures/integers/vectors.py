#!/usr/bin/env python3
"""Golden vectors of Documentation/integer-arithmetic.md, from its formulas alone: vectors.py > vectors.json

Feature maps are lists of rows of pixels of channels, flattened (HWC). Needs nothing but Python 3.
"""
import json
import math
import random
import struct
import sys

RANDOM = random.Random(2028)


def single(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def shift(n, s):
    return (n + (1 << (s - 1))) >> s if s > 0 else n


def clamp(n, low, high):
    return max(low, min(high, n))


def sat8(n):
    return clamp(n, -128, 127)


def steps(a, M, r):
    return shift(shift(clamp(shift(a, r), -32768, 32767) * M, 15), 6)


def multiplier(k):
    """The multiplier and the shift of a ratio."""
    assert 0 < k < 1 / 64
    f, e = math.frexp(k)
    f, e = 2 * f, e - 1
    M, r = round(f * 2**14), -7 - e  # Python rounds to even
    if M == 32768:
        M, r = 16384, r - 1
    return (0, 0) if r > 30 else (M, r)


def sum_weights(scales, out):
    ratios = [s / out for s in scales]
    e = 13 - (math.frexp(max(ratios))[1] - 1)
    assert 1 <= e <= 30
    return [round(k * 2**e) for k in ratios], e


def numbers(count, low=-128, high=127):
    return [RANDOM.randint(low, high) for _ in range(count)]


class Map:
    def __init__(self, height, width, channels, q, z):
        self.height, self.width, self.channels, self.q, self.z = height, width, channels, q, z

    def at(self, y, x, c):
        if 0 <= y < self.height and 0 <= x < self.width:
            return self.q[(y * self.width + x) * self.channels + c]
        return self.z

    def json(self):
        return {"shape": [self.height, self.width, self.channels], "numbers": self.q, "zero": self.z}


def out_size(n, kernel, stride, padding):
    return (n + 2 * padding - kernel) // stride + 1


def convolve(m, weight, bias, M, r, z, outputs, kernel, stride, padding, groups):
    ins = m.channels // groups
    height, width = (out_size(n, kernel, stride, padding) for n in (m.height, m.width))
    result = []
    for y in range(height):
        for x in range(width):
            for o in range(outputs):
                a = bias[o]
                for i in range(ins):
                    for dy in range(kernel):
                        for dx in range(kernel):
                            w = weight[((o * ins + i) * kernel + dy) * kernel + dx]
                            c = o // (outputs // groups) * ins + i
                            a += w * (m.at(y * stride + dy - padding, x * stride + dx - padding, c) - m.z)
                result.append(sat8(steps(a, M[o], r[o]) + z))
    return Map(height, width, outputs, result, z)


def convolution(name, height, width, channels, outputs, kernel, stride=1, padding=0, groups=1, z=-128, z_out=-128):
    m = Map(height, width, channels, numbers(height * width * channels), z)
    length = channels // groups * kernel * kernel
    weight = numbers(outputs * length, -127, 127)
    bias = [RANDOM.randint(-20000, 20000) for _ in range(outputs)]
    # So that most results are not clamped.
    rescaling = [multiplier(RANDOM.uniform(0.5, 1.5) / (40 * math.sqrt(length) * 73)) for _ in range(outputs)]
    M, r = [list(x) for x in zip(*rescaling)]
    result = convolve(m, weight, bias, M, r, z_out, outputs, kernel, stride, padding, groups)
    return {
        "name": name, "input": m.json(), "kernel": kernel, "stride": stride,
        "padding": padding, "groups": groups, "weight": weight, "bias": bias, "multiplier": M, "shift": r,
        "output": result.json(),
    }


def rescaling():
    """Sums at the edges: ties, both clamps, the least and the largest shift."""
    cases = []
    for M, r in [(16384, 0), (32767, 0), (16384, 1), (20000, 7), (32767, 15), (24001, 20), (16384, 30), (0, 0)]:
        unit = 1 << r
        sums = [0, 1, -1, unit // 2, -(unit // 2), unit // 2 - 1, -(unit // 2) - 1, 64 * unit, -64 * unit, 100 * unit]
        sums += [32767 * unit, 32768 * unit, -32768 * unit, -32769 * unit, 2**30, -(2**30)]
        sums += [RANDOM.randint(-200 * 64 * unit, 200 * 64 * unit) for _ in range(24)]
        for a in sums:
            if abs(a) <= 2**30:
                z = RANDOM.choice([-128, 0, 5, 127])
                cases.append([a, M, r, z, sat8(steps(a, M, r) + z)])
    return cases


def ratios():
    values = [1 / 64 - 2**-58, 1 / 65, 2.0**-7, 2.0**-8 * (1 - 2**-20), 2.0**-37, 2.0**-38, 3e-11, 1e-13]
    values += [RANDOM.uniform(1e-6, 1 / 64) for _ in range(20)]
    # The first rounds up to 1/64, which there is no multiplier for.
    return [[k, *multiplier(k)] for k in values[1:]]


def window(m, top, left, c, size):
    """The numbers of a channel in a window that lie on the map."""
    return [
        m.at(y, x, c)
        for y in range(top, top + size)
        for x in range(left, left + size)
        if 0 <= y < m.height and 0 <= x < m.width
    ]


def pooling(name, height, width, channels, size, stride, padding):
    m = Map(height, width, channels, numbers(height * width * channels), -3)
    height, width = (out_size(n, size, stride, padding) for n in (m.height, m.width))
    result = []
    for y in range(height):
        for x in range(width):
            for c in range(channels):
                seen = window(m, y * stride - padding, x * stride - padding, c, size)
                result.append(max(seen))
    return {
        "name": name, "input": m.json(), "kernel": size, "stride": stride, "padding": padding,
        "output": Map(height, width, channels, result, m.z).json(),
    }


def mean(name, height, width, channels, size, stride, s, s_out):
    m = Map(height, width, channels, numbers(height * width * channels), -100)
    z = 9
    height, width = (out_size(n, size, stride, 0) for n in (m.height, m.width))
    k, p = s / (s_out * size * size), 0
    while k / 2**p >= 1 / 64 or multiplier_rounds_up(k / 2**p):
        p += 1
    M, r = multiplier(k / 2**p)
    result = []
    for y in range(height):
        for x in range(width):
            for c in range(channels):
                a = sum(m.at(y * stride + i, x * stride + j, c) - m.z for i in range(size) for j in range(size))
                result.append(sat8(steps(a * 2**p, M, r) + z))
    return {
        "name": name, "input": m.json(), "kernel": size, "stride": stride, "scale": s,
        "output_scale": s_out, "weight": 2**p, "multiplier": M, "shift": r,
        "output": Map(height, width, channels, result, z).json(),
    }


def multiplier_rounds_up(k):
    """Whether a ratio below 1/64 has no multiplier, because that would be 1/64."""
    f, e = math.frexp(k)
    return e - 1 == -7 and round(2 * f * 2**14) == 32768


def sums(name, scales, zeros, out, z):
    count = 70
    F, e = sum_weights(scales, out)
    inputs = [numbers(count) for _ in scales]
    result = [
        sat8(shift(sum((q[i] - zero) * f for q, zero, f in zip(inputs, zeros, F)), e) + z) for i in range(count)
    ]
    return {
        "name": name, "scales": scales, "zeros": zeros, "inputs": inputs, "output_scale": out,
        "output_zero": z, "factors": F, "shift": e, "output": result,
    }


def response(name, channels, size, z, alpha, beta, k, s, s_out):
    pixels = 7
    m = Map(1, pixels, channels, numbers(pixels * channels), z)
    D, z_out, h = max(127 - z, z + 128), -128, 0
    while (size * D * D) >> h > 255:
        h += 1
    real = [s / s_out * (k + alpha / size * s * s * i * 2**h) ** -beta for i in range(257)]
    e = 14 - (math.frexp(real[0])[1] - 1)
    T = [min(32767, round(x * 2**e)) for x in real]
    result = []
    for x in range(pixels):
        for c in range(channels):
            near = range(max(0, c - size // 2), min(channels, c + (size - 1) // 2 + 1))
            S = sum((m.at(0, x, j) - z) ** 2 for j in near)
            i = S >> h
            f = T[i] + shift((T[i + 1] - T[i]) * (S - (i << h)), h)
            result.append(sat8(shift((m.at(0, x, c) - z) * f, e) + z_out))
    return {
        "name": name, "input": m.json(), "size": size, "factors": T, "shift": e,
        "segment_shift": h, "output": Map(1, pixels, channels, result, z_out).json(),
    }


def nearest(x):
    return round(max(-1024.0, min(1024.0, x)))


def pixels():
    """All pixels of a channel each, as MNIST and CIFAR-10 have them."""
    cases = []
    for m, d, s, z in [(0.1307, 0.3081, 0.012727, -95), (0.4914, 0.2470, 0.0158, 2), (0.0, 1.0, 1 / 255, -128)]:
        m, d, s = single(m), single(d), single(s)
        a = single(single(1 / single(255 * d)) / s)
        b = single(single(-m / d) / s)
        row = [sat8(nearest(single(single(p * a) + b)) + z) for p in range(256)]
        cases.append({"mean": m, "standard_deviation": d, "scale": s, "zero": z, "output": row})
    return cases


def reals():
    s, z = single(0.02), -7
    inverse = single(1 / s)
    xs = [0.0, 0.01, -0.01, 0.03, 0.05, 1e9, -1e9, 2.41, -2.42] + [RANDOM.uniform(-3, 3) for _ in range(40)]
    xs = [single(x) for x in xs]
    return {
        "scale": s, "zero": z, "input": xs,
        "output": [sat8(nearest(single(x * inverse)) + z) for x in xs],
    }


def logits():
    m = Map(1, 1, 37, numbers(37), -128)
    s = single(0.031)
    weight = numbers(5 * 37, -127, 127)
    scale = [single(RANDOM.uniform(0.001, 0.02)) for _ in range(5)]
    result = [
        single(single(sum(weight[o * 37 + i] * (m.q[i] - m.z) for i in range(37))) * single(s * scale[o]))
        for o in range(5)
    ]
    return {
        "input": m.json(), "scale": s, "weight": weight, "weight_scale": scale, "output": result,
    }


# Fixed point 3.13


def sat16(n):
    return clamp(n, -32768, 32767)


def fixed(x):
    return 0 if math.isnan(x) else sat16(round(max(-8.0, min(8.0, x)) * 2**13))


def words(count, bits=16):
    return numbers(count, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def fixed_convolution(name, height, width, channels, outputs, kernel, stride=1, padding=0, groups=1, bits=11):
    m = Map(height, width, channels, words(height * width * channels), 0)
    ins = channels // groups
    weight, bias = words(outputs * ins * kernel * kernel, bits), words(outputs)
    result = []
    height, width = (out_size(n, kernel, stride, padding) for n in (height, width))
    for y in range(height):
        for x in range(width):
            for o in range(outputs):
                a = bias[o] << 13
                for i in range(ins):
                    for dy in range(kernel):
                        for dx in range(kernel):
                            c = o // (outputs // groups) * ins + i
                            w = weight[((o * ins + i) * kernel + dy) * kernel + dx]
                            a += w * m.at(y * stride + dy - padding, x * stride + dx - padding, c)
                result.append(sat16(shift(a, 13)))
    return {
        "name": name, "input": m.json(), "kernel": kernel, "stride": stride, "padding": padding, "groups": groups,
        "weight": weight, "bias": bias, "output": Map(height, width, outputs, result, 0).json(),
    }


def fixed_connected(name, height, width, channels, outputs):
    """Reads CHW, as PyTorch flattens it."""
    m = Map(height, width, channels, words(height * width * channels), 0)
    count = height * width * channels
    weight, bias = words(outputs * count, 12), words(outputs)
    chw = [m.at(y, x, c) for c in range(channels) for y in range(height) for x in range(width)]
    result = [
        sat16(shift((bias[o] << 13) + sum(weight[o * count + i] * chw[i] for i in range(count)), 13))
        for o in range(outputs)
    ]
    return {
        "name": name, "input": m.json(), "weight": weight, "bias": bias,
        "output": Map(1, 1, outputs, result, 0).json(),
    }


def fixed_rounding():
    """A bias, a weight and a number, and what comes of them: ties and both ends."""
    cases = [[0, 4096, 1], [0, -4096, 1], [0, 4095, 1], [0, -4097, 1], [0, 4096, 3], [0, -4096, 3], [5, -4096, 1]]
    cases += [[32767, 8192, 1], [-32768, -8192, 1], [0, 32767, 32767], [0, -32768, 32767], [0, -32768, -32768]]
    return [[b, w, q, sat16(shift((b << 13) + w * q, 13))] for b, w, q in cases]


def fixed_pooling(name, height, width, channels, size, stride, padding, is_mean):
    m = Map(height, width, channels, words(height * width * channels), 0)
    result = []
    height, width = (out_size(n, size, stride, padding) for n in (height, width))
    for y in range(height):
        for x in range(width):
            for c in range(channels):
                seen = window(m, y * stride - padding, x * stride - padding, c, size)
                n = len(seen)
                result.append((2 * sum(seen) + n) // (2 * n) if is_mean else max(seen))
    return {
        "name": name, "input": m.json(), "kernel": size, "stride": stride, "padding": padding,
        "output": Map(height, width, channels, result, 0).json(),
    }


def fixed_response(name, channels, size, alpha, beta, k, f_in, f_out):
    pixels = 9
    m = Map(1, pixels, channels, words(pixels * channels), 0)
    h = 0
    while (size * 2**30) >> h > 255:
        h += 1
    real = [f_in / f_out * (k + alpha / size * (f_in / 2**13) ** 2 * i * 2**h) ** -beta for i in range(257)]
    e = 14 - (math.frexp(real[0])[1] - 1)
    T = [min(32767, round(x * 2**e)) for x in real]
    result = []
    for x in range(pixels):
        for c in range(channels):
            near = range(max(0, c - size // 2), min(channels, c + (size - 1) // 2 + 1))
            S = sum(m.at(0, x, j) ** 2 for j in near)
            i = S >> h
            factor = T[i] + shift((T[i + 1] - T[i]) * (S - (i << h)), h)
            result.append(sat16(shift(m.at(0, x, c) * factor, e)))
    return {
        "name": name, "input": m.json(), "size": size, "factors": T, "shift": e,
        "output": Map(1, pixels, channels, result, 0).json(),
    }


def fixed_pixels():
    cases = []
    for m, d, f in [(0.1307, 0.3081, 1.0), (0.4914, 0.2470, 1.0), (0.0, 0.1, 4.0)]:
        m, d = single(m), single(d)
        row = [fixed(((p / 255) - m) / d / f) for p in range(256)]
        cases.append({"mean": m, "standard_deviation": d, "scale": f, "output": row})
    return cases


def fixed_point():
    xs = [0.0, 2**-14, -(2**-14), 3 * 2**-14, 3.99994, 4.0, -4.0, -4.1, 1e30] + [RANDOM.uniform(-5, 5) for _ in range(40)]
    left, right = words(60), words(60)
    return {
        "rounding": fixed_rounding(),
        "convolution": [
            fixed_convolution("3 × 3, padded", 6, 7, 3, 5, 3, padding=1),
            fixed_convolution("5 × 5, stride 2", 9, 11, 2, 7, 5, stride=2, padding=2),
            fixed_convolution("groups", 5, 5, 6, 9, 3, padding=1, groups=3),
            fixed_convolution("depthwise, stride 2", 8, 7, 5, 5, 3, stride=2, padding=1, groups=5),
            fixed_convolution("1 × 1, sums beyond 32 bits", 2, 3, 40, 6, 1, bits=16),
        ],
        "connected": [fixed_connected("of features", 1, 1, 30, 7), fixed_connected("of an image", 3, 2, 5, 6)],
        "maximum": [fixed_pooling("3 × 3, padded", 7, 8, 3, 3, 2, 1, False)],
        "mean": [
            fixed_pooling("2 × 2", 4, 6, 3, 2, 2, 0, True), fixed_pooling("all of 7 × 7", 7, 7, 4, 7, 1, 0, True)
        ],
        "sum": {"left": left, "right": right, "output": [sat16(a + b) for a, b in zip(left, right)]},
        "six": [[f, fixed(6 / f)] for f in (1.0, 2.0, 8.0)],
        "response": [
            fixed_response("over 5", 12, 5, single(1e-4), 0.75, 2.0, 16.0, 8.0),
            fixed_response("over 9", 7, 9, single(1e-3), 0.75, 1.0, 4.0, 4.0),
        ],
        "pixels": fixed_pixels(),
        "reals": [[x, fixed(x)] for x in xs],
    }


def product(name, scales, zeros, out, z, channels, is_factor):
    M, r = multiplier(scales[0] * scales[1] / out)
    first = numbers(6 * channels)
    second = numbers(channels if is_factor else 6 * channels)
    output = []
    for place, q in enumerate(first):
        other = second[place % channels if is_factor else place]
        output.append(sat8(steps((q - zeros[0]) * (other - zeros[1]), M, r) + z))
    return {"name": name, "scales": scales, "zeros": zeros, "output_scale": out, "output_zero": z, "channels": channels,
            "inputs": [first, second], "multiplier": M, "shift": r, "output": output}


def lookup(name, f, s, z, out, z_out):
    table = [clamp(round(f(s * (i - 128 - z)) / out) + z_out, -128, 127) for i in range(256)]
    q = numbers(90)
    return {"name": name, "scale": s, "zero": z, "output_scale": out, "output_zero": z_out, "table": table, "input": q,
            "output": [table[n + 128] for n in q]}


def main():
    vectors = {
        "rescaling": rescaling(),
        "ratio": ratios(),
        "convolution": [
            convolution("3 × 3, padded", 6, 7, 3, 5, 3, padding=1),
            convolution("5 × 5, stride 2, any zeros", 9, 11, 2, 19, 5, stride=2, padding=2, z=13, z_out=-4),
            convolution("groups", 5, 5, 6, 9, 3, padding=1, groups=3, z=0, z_out=0),
            convolution("1 × 1, many channels", 3, 5, 33, 40, 1, z=-128, z_out=7),
            convolution("depthwise", 7, 9, 5, 5, 3, padding=1, groups=5),
            convolution("depthwise, stride 2, 5 × 5", 8, 8, 18, 18, 5, stride=2, padding=2, groups=18, z=-60, z_out=3),
            convolution("fully connected", 1, 1, 70, 11, 1),
        ],
        "maximum": [pooling("3 × 3, padded", 7, 8, 3, 3, 2, 1), pooling("2 × 2", 6, 6, 5, 2, 2, 0)],
        "mean": [
            mean("2 × 2", 4, 6, 3, 2, 2, single(0.02), single(0.017)),
            mean("all of 7 × 7", 7, 7, 4, 7, 1, 0.5, 0.125),
        ],
        "sum": [
            sums("two", [single(0.03), single(0.004)], [-128, 11], single(0.029), -1),
            sums("another scale", [single(0.05)], [0], single(0.011), -128),
            sums("only another zero", [0.25], [-128], 0.25, 3),
        ],
        "response": [
            response("over 5", 12, 5, -128, 5e-4, 0.75, 2.0, 0.3, 0.2),
            response("over 9, any zero", 7, 9, -100, 1e-3, 0.75, 1.0, 0.05, 0.04),
        ],
        "pixels": pixels(),
        "reals": reals(),
        "logits": logits(),
        "fixed": fixed_point(),
        "product": [
            product("two maps", [single(0.02), single(0.03)], [-128, 4], single(0.11), -7, 5, False),
            product("a gate", [single(0.05), single(1 / 255)], [-30, -128], single(0.04), -30, 7, True),
        ],
        "lookup": [
            lookup("sigmoid", lambda x: 1 / (1 + math.exp(-x)), single(0.05), -3, single(1 / 255), -128),
            lookup("hard_swish", lambda x: x * min(max(x / 6 + 0.5, 0), 1), single(0.04), 10, single(0.021), -110),
        ],
    }
    json.dump(vectors, sys.stdout, separators=(",", ":"), ensure_ascii=False)
    print()


main()
