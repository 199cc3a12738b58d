package quern.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.OutputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quern.plan.Plan;
import quern.run.workbench.StoreOpener;
import quern.run.workbench.Workbench;
import quern.store.BlobStore;
import quern.store.LocalStore;

/** Promise 2: a disk that fills up at whatever file leaves nothing that a loader would take for a model. */
class FailingStoreTest {
    @TempDir
    Path folder;

    @Test
    void aWriteThatFailsLeavesNoModelAndTheRunGoesOnAfterwards() throws IOException {
        Path source = folder.resolve("source");
        ToyModel.write(new LocalStore(source), 2, 7);
        Plan whole = ToyRun.plan(source, folder.resolve("whole"), ToyRun.recipe(), 2);
        AtomicInteger writes = new AtomicInteger();
        ToyRun.run(
                whole,
                new LocalRunner(l -> full(new LocalStore(Path.of(l)), writes, Integer.MAX_VALUE), 1),
                Quantization.Listener.SILENT,
                full(new LocalStore(Path.of(whole.output())), writes, Integer.MAX_VALUE));
        assertThat(writes.get()).isGreaterThan(20);
        for (int room = 0; room < writes.get(); room++) {
            Plan plan = ToyRun.plan(source, folder.resolve("full" + room), ToyRun.recipe(), 2);
            AtomicInteger written = new AtomicInteger();
            int most = room;
            StoreOpener stores = l -> full(new LocalStore(Path.of(l)), written, most);
            assertThatThrownBy(() -> ToyRun.run(
                            plan, new LocalRunner(stores, 1), Quantization.Listener.SILENT, stores.open(plan.output())))
                    .as("room for %d files", room)
                    .hasMessageContaining("No space left on device");
            Workbench.release(plan);
            assertThat(Path.of(plan.output(), "config.json")).doesNotExist();
            assertThat(Path.of(plan.output(), Publication.MARKER)).doesNotExist();
            ToyRun.run(plan, new LocalRunner(ToyRun.STORES, 1), Quantization.Listener.SILENT);
            assertThat(ToyRun.bytes(Path.of(plan.output()))).isEqualTo(ToyRun.bytes(Path.of(whole.output())));
            Workbench.release(plan);
        }
    }

    /** A store with room for so many more files; the next breaks off in the middle. */
    private static BlobStore full(BlobStore store, AtomicInteger writes, int room) {
        return (BlobStore) Proxy.newProxyInstance(
                FailingStoreTest.class.getClassLoader(), new Class<?>[] {BlobStore.class}, (proxy, method, args) -> {
                    if (method.getName().equals("write") && writes.getAndIncrement() >= room) {
                        args[1] = breaking((BlobStore.Body) args[1]);
                    }
                    try {
                        return method.invoke(store, args);
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }

    private static BlobStore.Body breaking(BlobStore.Body body) {
        return out -> body.writeTo(new OutputStream() {
            private int written;

            @Override
            public void write(int b) throws IOException {
                if (++written > 10) {
                    throw new IOException("No space left on device");
                }
                out.write(b);
            }
        });
    }
}
