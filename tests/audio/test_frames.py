import numpy as np
import pytest

from distilhubert_ko.audio.frames import (
    FRAME_STEP,
    HUBERT_FRAMES,
    KERNELS,
    SAMPLE_RATE,
    STRIDES,
    WHISPER_FRAMES,
    frame_seconds,
)

RNG = np.random.default_rng(7)


def test_frames_agree_with_torch_convolutions_on_awkward_sizes() -> None:
    torch = pytest.importorskip("torch")
    chain = [
        torch.nn.Conv1d(1, 1, kernel, stride, device="meta") for kernel, stride in zip(KERNELS, STRIDES, strict=True)
    ]

    def reference(samples: int) -> int:
        signal = torch.zeros(1, 1, samples, device="meta")
        for convolution in chain:
            if signal.shape[-1] < convolution.kernel_size[0]:
                return 0
            signal = convolution(signal)
        return signal.shape[-1]

    sizes = [0, 1, 9, 10, 11, 319, 320, 399, 400, 401, 719, 720, 721, 1039, 1040, 15_999, 16_000, 16_001]
    sizes += RNG.integers(0, 20_000, 30).tolist()
    assert [HUBERT_FRAMES.count(size) for size in sizes] == [reference(size) for size in sizes]


def test_kernels_and_strides_are_those_of_hubert() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.HubertConfig()
    assert tuple(config.conv_kernel) == KERNELS
    assert tuple(config.conv_stride) == STRIDES


@pytest.mark.parametrize(("samples", "expected"), [(16_000, 49), (400, 1), (399, 0), (0, 0)])
def test_the_frame_counts_everyone_quotes(samples: int, expected: int) -> None:
    assert HUBERT_FRAMES.count(samples) == expected
    assert isinstance(HUBERT_FRAMES.count(samples), int)


def test_whisper_has_a_frame_per_step_begun_by_half() -> None:
    """Its log-mel has a spectrum per 160 samples, and the second convolution takes every other one."""
    for samples in (0, 1, 159, 160, 161, 319, 320, 321, 399, 479, 480, 481, 16_000, 480_000):
        assert WHISPER_FRAMES.count(samples) == (samples // 160 + 1) // 2
    assert WHISPER_FRAMES.count(30 * SAMPLE_RATE) == 1500
    for steps in (1, 7, 1000):  # so pieces cut at whole steps join without a seam
        assert WHISPER_FRAMES.count(steps * FRAME_STEP) == steps


def test_frames_of_an_array_are_the_frames_of_its_elements() -> None:
    sizes = np.array([[0, 399, 400], [719, 720, 16_000]])
    expected = [[HUBERT_FRAMES.count(int(size)) for size in row] for row in sizes]
    assert HUBERT_FRAMES.count(sizes).tolist() == expected
    assert HUBERT_FRAMES.count(sizes.astype(np.uint16)).tolist() == expected
    assert HUBERT_FRAMES.count(np.zeros(0, np.int64)).shape == (0,)


def test_one_more_frame_needs_one_more_frame_step_of_samples() -> None:
    step = round(frame_seconds(1) * SAMPLE_RATE)
    for frames in (1, 2, 49, 1000):
        samples = 400 + (frames - 1) * step
        assert (HUBERT_FRAMES.count(samples - 1), HUBERT_FRAMES.count(samples)) == (frames - 1, frames)


def test_a_frame_starts_every_20_milliseconds() -> None:
    assert frame_seconds(0) == 0.0
    assert frame_seconds(50) == 1.0
    assert frame_seconds(2.5) == pytest.approx(0.05)
    np.testing.assert_allclose(frame_seconds(np.array([0, 1, 49])), [0, 0.02, 0.98])
