package quern.format;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class KeptModulesTest {
    @Test
    void a_module_that_is_kept_whole_is_kept_wherever_the_loader_has_it() {
        Pattern pattern = Pattern.compile(KeptModules.regex("vision.tower.*"));
        assertThat("vision.tower.blocks.0.fc1").matches(pattern);
        assertThat("model.vision.tower.blocks.0.fc1").matches(pattern);
        assertThat("visionXtower.blocks.0.fc1").doesNotMatch(pattern);
        assertThat("model.vision.towers.0.fc1").doesNotMatch(pattern);
        assertThat("model.vision.tower").doesNotMatch(pattern);
    }

    @Test
    void a_linear_that_is_kept_is_that_one_alone() {
        Pattern pattern = Pattern.compile(KeptModules.regex("model.layers.1.o_proj"));
        assertThat("model.layers.1.o_proj").matches(pattern);
        assertThat("model.layers.1xo_proj").doesNotMatch(pattern);
    }
}
