package quern.calibrate;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.channels.SeekableByteChannel;
import java.util.List;
import java.util.Map;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.FixedSizeBinaryVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.ipc.ArrowFileReader;
import org.apache.arrow.vector.ipc.ArrowFileWriter;
import org.apache.arrow.vector.ipc.SeekableReadChannel;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.FieldType;
import org.apache.arrow.vector.types.pojo.Schema;
import quern.tensor.DType;

/**
 * Rows of equal width in an Arrow IPC file, a record batch at a time: the tokens of a part (one row a sequence) or its
 * activations (one row a token, one batch a forward batch).
 *
 * <p>Arrow has no bfloat16 and needs no element type to move rows, so the one column is {@code FixedSizeBinary} of
 * {@code width * dtype.bytes()}, little-endian; the field's metadata says {@code dtype} and {@code width}.
 */
public final class RowFile {
    private static final RootAllocator ROOT = new RootAllocator();

    private RowFile() {}

    /** Writes batches in order; each is rows * width elements from its position to its limit. */
    public static void write(OutputStream out, DType dtype, int width, Iterable<ByteBuffer> batches)
            throws IOException {
        int rowBytes = Math.multiplyExact(width, dtype.bytes());
        Field field = new Field(
                "rows",
                new FieldType(
                        false,
                        new ArrowType.FixedSizeBinary(rowBytes),
                        null,
                        Map.of("dtype", dtype.name(), "width", Integer.toString(width))),
                null);
        try (BufferAllocator allocator = ROOT.newChildAllocator("write rows", 0, Long.MAX_VALUE);
                VectorSchemaRoot root = VectorSchemaRoot.create(new Schema(List.of(field)), allocator);
                ArrowFileWriter writer = new ArrowFileWriter(root, null, Channels.newChannel(out))) {
            writer.start();
            FixedSizeBinaryVector vector = (FixedSizeBinaryVector) root.getVector(0);
            for (ByteBuffer batch : batches) {
                int rows = batch.remaining() / rowBytes;
                vector.allocateNew(rows);
                vector.getDataBuffer().setBytes(0, batch.duplicate());
                ArrowBuf validity = vector.getValidityBuffer();
                validity.setOne(0, (rows + 7) / 8);
                vector.setValueCount(rows);
                root.setRowCount(rows);
                writer.writeBatch();
            }
            writer.end();
        }
    }

    /** Opens a file for reading; the reader closes the channel. */
    public static Reader open(SeekableByteChannel channel) throws IOException {
        return new Reader(channel);
    }

    /** Reads batches by number. Not safe for concurrent use. */
    public static final class Reader implements AutoCloseable {
        private final BufferAllocator allocator;
        private final ArrowFileReader reader;
        private final DType dtype;
        private final int width;

        private Reader(SeekableByteChannel channel) throws IOException {
            allocator = ROOT.newChildAllocator("read rows", 0, Long.MAX_VALUE);
            reader = new ArrowFileReader(new SeekableReadChannel(channel), allocator);
            Map<String, String> metadata =
                    reader.getVectorSchemaRoot().getSchema().getFields().get(0).getMetadata();
            dtype = DType.valueOf(metadata.getOrDefault("dtype", ""));
            width = Integer.parseInt(metadata.getOrDefault("width", ""));
        }

        public DType dtype() {
            return dtype;
        }

        public int width() {
            return width;
        }

        public int batches() throws IOException {
            return reader.getRecordBlocks().size();
        }

        /** The rows of one batch, little-endian; valid until the next call. */
        public ByteBuffer read(int batch) throws IOException {
            reader.loadRecordBatch(reader.getRecordBlocks().get(batch));
            VectorSchemaRoot root = reader.getVectorSchemaRoot();
            FixedSizeBinaryVector vector = (FixedSizeBinaryVector) root.getVector(0);
            long bytes = (long) root.getRowCount() * width * dtype.bytes();
            return vector.getDataBuffer().nioBuffer(0, Math.toIntExact(bytes)).order(ByteOrder.LITTLE_ENDIAN);
        }

        @Override
        public void close() throws IOException {
            try {
                reader.close();
            } finally {
                allocator.close();
            }
        }
    }
}
