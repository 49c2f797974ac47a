"""The number of parameters of each preset's model, from sources that share no code with the package.

``PUBLISHED`` has published counts; ``DERIVED`` has closed forms, for models whose exact count is not published.
"""

from __future__ import annotations

KERAS_HUB = "https://github.com/keras-team/keras-hub, the presets of "
HUGGING_FACE = "https://huggingface.co/"

#: Name → count, and where it is published.
PUBLISHED = {
    "bert-base": (109_482_240, KERAS_HUB + "bert: bert_base_en_uncased"),
    "clip-vit-b-32": (151_277_313, KERAS_HUB + "clip: clip_vit_base_patch32"),
    "gemma-2b": (2_506_172_416, KERAS_HUB + "gemma: gemma_2b_en"),
    "gemma-7b": (8_537_680_896, KERAS_HUB + "gemma: gemma_7b_en"),
    "gpt2": (124_439_808, KERAS_HUB + "gpt2: gpt2_base_en"),
    "llama-7b": (6_738_415_616, KERAS_HUB + "llama: llama2_7b_en, which has the same shape"),
    "llama-3.1-8b": (8_030_261_248, KERAS_HUB + "llama3: llama3_8b_en, which has the same shape"),
    "llama-3.1-70b": (70_553_706_496, HUGGING_FACE + "meta-llama/Llama-3.1-70B, safetensors"),
    "llama-3.1-405b": (405_853_388_800, HUGGING_FACE + "meta-llama/Llama-3.1-405B, safetensors"),
    "mamba-130m": (129_135_360, HUGGING_FACE + "state-spaces/mamba-130m-hf, safetensors"),
    "mistral-7b": (7_241_732_096, KERAS_HUB + "mistral: mistral_7b_en"),
    "mixtral-8x7b": (46_702_792_704, KERAS_HUB + "mixtral: mixtral_8_7b_en"),
    "phi-2": (2_779_683_840, HUGGING_FACE + "microsoft/phi-2, safetensors"),
    "qwen2.5-7b": (7_615_616_512, HUGGING_FACE + "Qwen/Qwen2.5-7B, safetensors"),
    "t5-base": (222_903_552, KERAS_HUB + "t5: t5_base_multi"),
    "whisper-tiny": (37_760_640, KERAS_HUB + "whisper: whisper_tiny_multi"),
    "whisper-base": (72_593_920, KERAS_HUB + "whisper: whisper_base_multi"),
    "whisper-small": (241_734_912, KERAS_HUB + "whisper: whisper_small_multi"),
    "whisper-medium": (763_857_920, KERAS_HUB + "whisper: whisper_medium_multi"),
    "whisper-large": (1_543_304_960, KERAS_HUB + "whisper: whisper_large_multi"),
}


def linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def conv(inputs: int, outputs: int, kernel: int) -> int:
    return inputs * outputs * kernel + outputs


def attention(width: int, memory: int | None = None) -> int:
    """Query, key, value and output, with biases; *memory* is the width of keys and values if it differs."""
    return 2 * linear(width, width) + 2 * linear(memory or width, width)


def feed_forward(width: int, hidden: int) -> int:
    return linear(width, hidden) + linear(hidden, width)


def norm(width: int) -> int:
    return 2 * width


def gpt(layers: int, width: int, vocabulary: int, positions: int) -> int:
    """Tied embeddings; each layer has a fused QKV (3d² + 3d), an output (d² + d), an MLP of 4d and two norms."""
    layer = 3 * linear(width, width) + linear(width, width) + feed_forward(width, 4 * width) + 2 * norm(width)
    return vocabulary * width + positions * width + layers * layer + norm(width)


def vision_tower(layers: int, width: int, patch: int, image: int, projection: int) -> int:
    """CLIP's: a patch convolution and a projection without bias, a class token, positions, a norm before and after."""
    tokens = (image // patch) ** 2 + 1
    layer = attention(width) + feed_forward(width, 4 * width) + 2 * norm(width)
    return 3 * patch**2 * width + width + tokens * width + 2 * norm(width) + layers * layer + width * projection


def q_former(layers: int, width: int, hidden: int, memory: int) -> int:
    """BERT's layers, every second one also attending to the image; no text branch, no embeddings."""
    layer = attention(width) + feed_forward(width, hidden) + 2 * norm(width)
    return norm(width) + layers * layer + layers // 2 * (attention(width, memory) + norm(width))


def hifi_gan(kernels: tuple[int, ...], channels: int = 512, mels: int = 80) -> int:
    """Each stage halves the channels by a transposed convolution, and adds three blocks of 2 · 3 convolutions."""
    total = conv(mels, channels, 7)
    for kernel in kernels:
        total += conv(channels, channels // 2, kernel)
        channels //= 2
        total += sum(6 * conv(channels, channels, k) for k in (3, 7, 11))
    return total + conv(channels, 1, 7)


def wav2vec2(layers: int = 12, width: int = 768, features: int = 512) -> int:
    """Seven convolutions without bias, the first with a norm; a weight-normed positional one of 16 groups."""
    extractor = features * 10 + norm(features) + 4 * features**2 * 3 + 2 * features**2 * 2
    projection = norm(features) + linear(features, width)
    positional = width * (width // 16) * 128 + 128 + width
    layer = attention(width) + feed_forward(width, 4 * width) + 2 * norm(width)
    return extractor + projection + positional + norm(width) + layers * layer + width  # the mask's embedding


def postnet(mels: int = 80, units: int = 256, kernel: int = 5) -> int:
    """Five convolutions without bias, each with a norm."""
    inner = 3 * (units * units * kernel + norm(units))
    return mels * units * kernel + norm(units) + inner + units * mels * kernel + norm(mels)


def speech_t5(width: int = 768, hidden: int = 3072, mels: int = 80, prenet: int = 256, speaker: int = 512) -> int:
    """12 encoder layers with relative positions of 320 × 64, 6 decoder layers, two scales of absolute positions."""
    encoder = 12 * (attention(width) + feed_forward(width, hidden) + 2 * norm(width)) + norm(width) + 320 * 64
    decoder = 6 * (2 * attention(width) + feed_forward(width, hidden) + 3 * norm(width))
    prenets = linear(mels, prenet) + linear(prenet, prenet) + linear(prenet, width) + linear(width + speaker, width)
    heads = linear(width, 2 * mels) + linear(width, 2) + postnet(mels)
    return 81 * width + encoder + decoder + prenets + heads + 2


def conformer(width: int, hidden: int, kernel: int) -> int:
    """Macaron: two halves of a convolutional MLP around attention with relative positions and a convolution module."""
    relative = attention(width) + width * width + 2 * width
    mlp = conv(width, hidden, 3) + conv(hidden, width, 3)
    module = conv(width, 2 * width, 1) + width * kernel + width + norm(width) + conv(width, width, 1)
    return relative + 2 * mlp + module + 5 * norm(width)


def predictor(width: int, channels: int, layers: int, kernel: int) -> int:
    """Convolutions, each with a norm, and one output."""
    inner = (layers - 1) * conv(channels, channels, kernel)
    return conv(width, channels, kernel) + inner + layers * norm(channels) + linear(channels, 1)


def fast_speech2(width: int = 384, hidden: int = 1536, mels: int = 80) -> int:
    """4 + 4 Conformer blocks; duration, pitch and energy predicted, the latter two embedded."""
    blocks = 4 * conformer(width, hidden, 7) + 4 * conformer(width, hidden, 31)
    variance = 2 * predictor(width, 256, 2, 3) + predictor(width, 256, 5, 5) + 2 * conv(1, width, 1)
    return 78 * width + blocks + variance + linear(width, mels) + postnet(mels)


#: Name → count, and the rounded count that is published.
DERIVED = {
    "gpt3-175b": (gpt(96, 12288, 50257, 2048), "174,600 M (https://arxiv.org/abs/2005.14165, table D.1)"),
    "vit-l-14": (
        vision_tower(24, 1024, 14, 224, 768),
        "303.97 M (https://github.com/mlfoundations/open_clip/blob/main/docs/model_profile.csv, image_mparams)",
    ),
    "blip2-qformer": (
        q_former(12, 768, 3072, 1408),
        "188 M with the text branch (https://arxiv.org/abs/2301.12597, section 3.1)",
    ),
    "hifigan-16k": (hifi_gan((8, 8, 8, 8)), "nothing is published"),
    "hifigan-22k": (hifi_gan((16, 16, 4, 4)), "13.92 M (https://arxiv.org/abs/2010.05646, table 1, V1), truncated"),
    "wav2vec2-base": (
        wav2vec2(),
        "95.04 M with the quantizer of its training (https://arxiv.org/abs/2105.01051, table 1)",
    ),
    "speecht5": (speech_t5(), "nothing is published"),
    "fastspeech2": (fast_speech2(), "nothing is published"),
}
