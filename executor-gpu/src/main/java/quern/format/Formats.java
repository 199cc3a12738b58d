package quern.format;

import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import quern.QuernException;
import quern.format.autoround.AutoRound;
import quern.format.awq.AwqFormat;
import quern.format.bitsandbytes.BlockFormat;
import quern.format.bitsandbytes.Int8Format;
import quern.format.compressedtensors.PackQuantized;
import quern.format.compressedtensors.PackedFp4;
import quern.format.compressedtensors.QuantizedBytes;
import quern.format.eetq.EetqFormat;
import quern.format.fbgemm.FbgemmFp8;
import quern.format.fp8.BlockFp8;
import quern.format.gguf.GgufFormat;
import quern.format.gptq.GptqFormat;
import quern.format.hqq.HqqFormat;
import quern.format.modelopt.ModelOptFp8;
import quern.format.modelopt.ModelOptNvfp4;
import quern.format.mxfp4.Mxfp4;
import quern.format.quanto.QuantoBits;
import quern.format.quanto.QuantoBytes;
import quern.format.quark.Quark;
import quern.format.torchao.TorchAoBytes;
import quern.format.torchao.TorchAoIntx;
import quern.tensor.DType;

/** The formats by name. */
public final class Formats {
    private static final List<Format> ALL =
            Stream.concat(tensors().stream(), GgufFormat.all().stream()).toList();

    private static List<Format> tensors() {
        return List.of(
                GptqFormat.v1(),
                GptqFormat.v2(),
                new AwqFormat(),
                new PackQuantized(),
                QuantizedBytes.int8(),
                QuantizedBytes.fp8(),
                PackedFp4.nvfp4(),
                PackedFp4.mxfp4(),
                new Mxfp4(),
                new BlockFp8(),
                new FbgemmFp8(),
                new ModelOptFp8(),
                new ModelOptNvfp4(),
                Quark.fp8(),
                Quark.int8(),
                new TorchAoIntx(),
                TorchAoBytes.int8(),
                TorchAoBytes.fp8(),
                QuantoBytes.int8(),
                QuantoBytes.fp8(),
                QuantoBits.int4(),
                QuantoBits.int2(),
                new EetqFormat(),
                new AutoRound(),
                new HqqFormat(),
                BlockFormat.nf4(),
                BlockFormat.nf4Nested(),
                BlockFormat.fp4(),
                new Int8Format());
    }

    private Formats() {}

    public static List<Format> all() {
        return ALL;
    }

    /** The format that a recipe names. */
    public static Format named(String name) {
        return ALL.stream()
                .filter(f -> f.name().equals(name))
                .findFirst()
                .orElseThrow(() -> new QuernException(
                        "Cannot write format " + name + ": it is unknown (use one of " + names() + ")"));
    }

    /**
     * The format of a checkpoint, by its {@code quantization_config}.
     *
     * @param weights the type of the model's weights
     */
    public static Format of(Map<String, Object> quantizationConfig, DType weights) {
        return ALL.stream()
                .filter(f -> f.schemes(quantizationConfig, weights) != null)
                .findFirst()
                .orElseThrow(() -> new QuernException("Cannot read this quantized checkpoint: its quant_method is "
                        + quantizationConfig.get("quant_method") + ", its format "
                        + quantizationConfig.getOrDefault(
                                "checkpoint_format", quantizationConfig.getOrDefault("format", "not named"))
                        + " (the formats that are read are " + names() + ")"));
    }

    private static String names() {
        return ALL.stream().map(Format::name).collect(Collectors.joining(", "));
    }
}
