package quern.device.cuda;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import quern.device.DeviceException;

/**
 * That a GPU is this process's alone. Two processes on one would each plan with the memory of both. A claim is a lock on a file that the
 * GPU gives its name to, in the folder for temporary files; the system lets go of it when the process ends, however it does.
 */
final class Claim {
    private static final Logger LOG = LoggerFactory.getLogger(Claim.class);

    /** The system property of those who want their processes to share GPUs. */
    private static final String SHARED = "quern.gpu.shared";

    private Claim() {}

    /**
     * Claims a GPU for the life of this process.
     *
     * @param uuid 16 bytes
     * @param name for a person
     * @throws DeviceException where another process has it
     */
    static void on(String uuid, String name) {
        if (Boolean.getBoolean(SHARED)) {
            return;
        }
        Path file = Path.of(System.getProperty("java.io.tmpdir", "/tmp"), "quern-gpu-" + uuid + ".lock");
        try {
            FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            if (channel.tryLock() == null) { // else it stays open, and locked
                channel.close();
                throw new DeviceException(name + " is used by another process of Quern (give each executor a GPU of its own, or "
                        + "share it with -D" + SHARED + "=true in the JVM options of all)");
            }
        } catch (AccessDeniedException e) {
            LOG.warn("Whether another process uses {} is not known: {} belongs to another user", name, file);
        } catch (IOException e) {
            throw new DeviceException("Cannot claim " + name + ": " + e.getMessage(), e);
        }
    }
}
