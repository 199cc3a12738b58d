package quern.run.shard;

import java.io.IOException;
import java.io.OutputStream;
import java.io.Serializable;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import quern.format.gguf.GgufFormat;
import quern.plan.Plan;
import quern.run.workbench.Phase;
import quern.run.workbench.Stopwatch;
import quern.run.workbench.Workbench;
import quern.store.BlobStore;
import quern.store.Checkpoint;
import quern.store.SafetensorsWriter;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** What every runner does to a shard, and how files are written. A retry gives the same bytes. */
public final class ShardTasks {
    private static final int SLICE = 8 << 20;

    private ShardTasks() {}

    /** What one shard's task wrote. */
    public record ShardManifest(String file, long bytes, String sha256) implements Serializable {}

    /** Streams a final shard from the pieces and the tensors that stay as they are. */
    public static ShardManifest shard(
            Workbench bench, Plan.Shard shard, Map<String, String> pieceOfLinear, Stopwatch watch) throws IOException {
        Pieces pieces = new Pieces(bench, pieceOfLinear);
        String sha = watch.time(
                Phase.WRITE,
                () -> bench.format() instanceof GgufFormat gguf
                        ? digested(bench, shard.file(), out -> GgufShard.write(bench, gguf, shard, pieces::of, out))
                        : shard(bench, shard, pieces));
        return new ShardManifest(shard.file(), bench.output().length(shard.file()), sha);
    }

    private static String shard(Workbench bench, Plan.Shard shard, Pieces pieces) throws IOException {
        Map<String, List<Plan.Packed>> packed = new HashMap<>();
        shard.tensors().forEach(t -> packed.put(t.spec().name(), t.packed()));
        List<TensorSpec> specs =
                shard.tensors().stream().map(Plan.ShardTensor::spec).toList();
        return write(bench, shard.file(), specs, bench.metadata(), (spec, out) -> {
            List<Plan.Packed> parts = packed.getOrDefault(spec.name(), List.of());
            if (parts.isEmpty()) {
                copy(bench.model().tensors(), spec, out);
            }
            for (Plan.Packed part : parts) {
                TensorSource piece = pieces.of(part.linear());
                copy(piece, piece.spec(part.tensor()), out);
            }
        });
    }

    /** The pieces of a run, each opened once. */
    private record Pieces(Workbench bench, Map<String, String> pieceOfLinear, Map<String, TensorSource> opened) {
        Pieces(Workbench bench, Map<String, String> pieceOfLinear) {
            this(bench, pieceOfLinear, new HashMap<>());
        }

        TensorSource of(String linear) throws IOException {
            String piece = Objects.requireNonNull(pieceOfLinear.get(linear), linear);
            TensorSource source = opened.get(piece);
            if (source == null) {
                source = Checkpoint.file(bench.output(), piece);
                opened.put(piece, source);
            }
            return source;
        }
    }

    /** Copies a tensor in slices, so that memory does not grow with it. */
    static void copy(TensorSource source, TensorSpec spec, OutputStream out) throws IOException {
        for (long at = 0; at < spec.bytes(); at += SLICE) {
            SafetensorsWriter.copy(source.read(spec.name(), at, (int) Math.min(SLICE, spec.bytes() - at)), out);
        }
    }

    /** Writes a safetensors file; returns its checksum. */
    public static String write(
            Workbench bench,
            String file,
            List<TensorSpec> specs,
            Map<String, String> metadata,
            SafetensorsWriter.TensorBytes bytes)
            throws IOException {
        return digested(bench, file, out -> SafetensorsWriter.write(out, specs, metadata, bytes));
    }

    private static String digested(Workbench bench, String file, BlobStore.Body body) throws IOException {
        MessageDigest digest = sha256();
        bench.output().write(file, out -> {
            digest.reset();
            body.writeTo(new DigestOutputStream(out, digest));
        });
        return HexFormat.of().formatHex(digest.digest());
    }

    public static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
