package quern.run.pass;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.QuernException;
import quern.device.DeviceOutOfMemory;
import quern.plan.Plan;
import quern.run.ToyModel;
import quern.run.ToyRun;
import quern.run.workbench.SiteManifest;
import quern.run.workbench.Squeeze;
import quern.run.workbench.Stopwatch;
import quern.store.LocalStore;
import quern.tensor.DType;

/** How many parts a task takes. */
class PartsTest {
    @TempDir
    Path folder;

    /** One GPU takes all, several get some each, and no more than fit. */
    @ParameterizedTest
    @CsvSource({
        "8, 8, 1, 8",
        "8, 8, 2, 4",
        "8, 8, 3, 2",
        "8, 8, 8, 1",
        "8, 8, 20, 1",
        "2, 8, 1, 2",
        "1, 8, 1, 1",
        "8, 1, 1, 1",
        "16, 9, 1, 16",
        "16, 9, 2, 8"
    })
    void each_gpu_gets_some(int most, int parts, int gpus, int together) {
        assertThat(Parts.together(most, parts, gpus)).isEqualTo(together);
    }

    @Test
    void runs_begin_at_multiples_of_their_length() {
        List<Plan.Part> parts =
                IntStream.range(0, 7).mapToObj(i -> new Plan.Part(10 + i, i, 1)).toList();
        List<Parts> runs = Parts.cut(parts, 4);
        assertThat(runs).extracting(Parts::first).containsExactly(0, 4);
        assertThat(runs).extracting(run -> run.parts().size()).containsExactly(4, 3);
        assertThatThrownBy(() -> Parts.cut(parts, 3)).hasMessage("3 is no power of two");
    }

    @Test
    void halves_begin_at_multiples_of_their_length_too() {
        List<Plan.Part> parts =
                IntStream.range(0, 7).mapToObj(i -> new Plan.Part(10 + i, i, 1)).toList();
        List<Parts> halves = Parts.cut(parts, 4).get(1).halves();
        assertThat(halves).extracting(Parts::first).containsExactly(4, 6);
        assertThat(halves).extracting(run -> run.parts().size()).containsExactly(2, 1);
        assertThat(halves.get(0).halves()).extracting(Parts::first).containsExactly(4, 5);
    }

    @Test
    void a_gpu_that_holds_all_parts_may_take_them_all_and_a_task_on_the_host_takes_one() throws IOException {
        Path source = folder.resolve("source");
        ToyModel.write(new LocalStore(source), 2, 7);
        Plan gpu = ToyRun.plan(source, folder.resolve("gpu"), ToyRun.recipe(), 2, 0, "cuda", "a GPU", DType.BF16);
        Plan host = ToyRun.plan(source, folder.resolve("host"), ToyRun.recipe(), 2);
        assertThat(gpu.onGpu()).isTrue();
        assertThat(gpu.cost().together()).isEqualTo(gpu.calibration().parts().size());
        assertThat(host.onGpu()).isFalse();
        assertThat(host.cost().together()).isOne();
        assertThat(gpu.cost().readBytes()).isLessThan(host.cost().readBytes());
    }

    @Test
    void a_pass_begins_anew_with_half_as_many_parts_where_memory_runs_out() throws IOException {
        List<Integer> tried = new ArrayList<>();
        List<SiteManifest> heard = new ArrayList<>();
        Stopwatch watch = new Stopwatch();
        Parts.whereTheyFit(8, watch, heard::add, (together, done) -> {
            tried.add(together);
            done.accept(manifest(0));
            if (together > 2) {
                throw new DeviceOutOfMemory("No memory");
            }
            done.accept(manifest(1));
        });
        assertThat(tried).containsExactly(8, 4, 2);
        assertThat(watch.times(Squeeze.PASSES)).isEqualTo(2);
        assertThat(heard).extracting(SiteManifest::site).containsExactly(0, 1);
        assertThatThrownBy(() -> Parts.whereTheyFit(2, watch, heard::add, (together, done) -> {
                    throw new DeviceOutOfMemory("No memory (less would do)");
                }))
                .isInstanceOf(QuernException.class)
                .hasMessage("Cannot take the calibration tokens through the model: No memory (less would do)");
    }

    private static SiteManifest manifest(int site) {
        return new SiteManifest("plan", 0, site, "", "", 0, -1, List.of());
    }
}
