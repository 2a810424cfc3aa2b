import Recipes
import Support
import TestSupport
import Testing

/// Tests that every mistake in a recipe is named and refused in one sentence.
@Suite struct BadRecipeTests {
    @Test(
        "a mistake in a recipe is named and refused",
        arguments: [
            (
                "[modle]\nlayers = 2",
                ["test.toml", "unknown section [modle]", "did you mean \"model\"?"]
            ),
            ("[wrong_thing]\nx = 2", ["unknown section", "[model], [training]"]),
            (
                "[model]\nlaeyrs = 2",
                ["unknown key \"laeyrs\" in [model]", "did you mean \"layers\"?"]
            ),
            ("[model]\nlearning_rate = 2", ["\"learning_rate\"", "move it to [optimizer]"]),
            ("[model]\nzzzzzzzzzzzz = 2", ["use one of architecture, layers, heads"]),
            ("layers = 2", ["has the key \"layers\" outside of a section", "[model]"]),
            ("[model\nlayers = 2", ["test.toml: is not valid TOML at line 1"]),
            // TOMLKit would end the process at these sections.
            (
                "[\nmodel]\nlayers = 2",
                ["test.toml: is not valid TOML at line 1 ([ without a name)"]
            ),
            ("[model]\r\n \t[[ = ]]", ["is not valid TOML at line 2"]),
            ("[optimizer]\nbetas = [0.9, }]", ["is not valid TOML at line 2 (} in a list)"]),
            (
                String(repeating: "a.", count: 20_000) + "a = 1",
                ["test.toml: has more than 5000 dots"]
            ),
            ("[model]\nlayers = two", ["is not valid TOML at line 2"]),
            ("[model]\nlayers = 2\nlayers = 3", ["is not valid TOML at line 3"]),
            (
                "[model]\nlayers = \"2\"",
                ["[model] layers = \"2\": must be a whole number; remove the quotes."]
            ),
            ("[model]\nlayers = 2.5", ["[model] layers = 2.5", "a whole number"]),
            (
                "[model]\nlayers = [2]",
                ["[model] layers = [2]: must be a whole number; write one such as 100."]
            ),
            ("[model]\nbias = 1", ["[model] bias = 1", "true or false"]),
            ("[model]\nbias = 2024-01-01", ["bias: is a date"]),
            ("[model]\narchitecture = 2", ["a quoted string"]),
            ("[model]\narchitecture = \"bert\"", ["\"bert\"", "\"gpt2\" or \"llama\""]),
            (
                "[model]\nkv_heads = 2",
                ["[model] kv_heads = 2: does nothing with architecture = \"gpt2\"; remove it"]
            ),
            ("[model]\nhidden_width = 2", ["[model] hidden_width = 2: does nothing", "\"llama\""]),
            ("[model]\nrope_theta = 2", ["[model] rope_theta = 2.0: does nothing", "\"llama\""]),
            (
                "[model]\nrope_scaling = { factor = 2 }",
                ["[model] rope_scaling = { factor = 2.0", "does nothing", "\"llama\""]
            ),
            (
                "[model]\nnorm_epsilon = 1e-6",
                ["[model] norm_epsilon = 1e-06: does nothing", "\"llama\""]
            ),
            (
                "[model]\narchitecture = \"llama\"\nbias = true",
                ["[model] bias = true: does not fit architecture = \"llama\"", "remove it"]
            ),
            (
                "[model]\narchitecture = \"llama\"\ndropout = 0.1",
                ["[model] dropout = 0.1: does not fit architecture = \"llama\"", "remove it"]
            ),
            (
                "[model]\narchitecture = \"llama\"\nparametrization = \"mup\"\nbase_width = 64",
                ["[model] parametrization = \"mup\": is derived only for", "\"standard\""]
            ),
            (
                "[model]\narchitecture = \"llama\"\nwidth = 12",
                ["[model] heads = 4: makes heads of 3", "an even width per head"]
            ),
            (
                "[model]\narchitecture = \"llama\"\nkv_heads = 3",
                ["[model] kv_heads = 3: does not divide heads = 4; use 2, the nearest"]
            ),
            ("[model]\narchitecture = \"llama\"\nkv_heads = 0", ["kv_heads = 0", "use 1"]),
            (
                "[model]\narchitecture = \"llama\"\nhidden_width = 0",
                ["[model] hidden_width = 0: must be from 1"]
            ),
            (
                "[model]\narchitecture = \"llama\"\nrope_theta = 1",
                ["[model] rope_theta = 1.0: must be greater than 1"]
            ),
            (
                "[model]\narchitecture = \"llama\"\nnorm_epsilon = 0",
                ["[model] norm_epsilon = 0.0: must be between 0 and 1"]
            ),
            (
                "[model]\narchitecture = \"llama\"\nrope_scaling = 8",
                ["[model] rope_scaling = 8: must be a table { factor, low_frequency"]
            ),
            (
                "[model]\narchitecture = \"llama\"\nrope_scaling = { factr = 8 }",
                ["[model] rope_scaling: has the unknown key \"factr\"; did you mean \"factor\"?"]
            ),
            (
                "[model]\narchitecture = \"llama\"\nrope_scaling = { factor = 0.5 }",
                ["[model] rope_scaling = { factor = 0.5", "has a factor below 1"]
            ),
            (
                "[model]\narchitecture = \"llama\"\nrope_scaling = { low_frequency = 4 }",
                ["needs 0 < low_frequency < high_frequency"]
            ),
            (
                "[model]\narchitecture = \"llama\"\nhidden_width = 33\n[training]\nprecision = \"bf16\"",
                ["[training] precision = \"bf16\"", "hidden_width = 33"]
            ),
            (
                "[model]\nheads = 3",
                ["heads = 3: does not divide width = 128", "use 2, the nearest"]
            ),
            ("[model]\nlayers = 0", ["[model] layers = 0"]),
            ("[model]\nwidth = -4", ["[model] width = -4"]),
            ("[model]\nwidth = 4611686018427387904", ["[model] width", "at most 1048576"]),
            ("[model]\ncontext_length = 16777217", ["context_length", "at most 16777216"]),
            ("[model]\ndropout = 1", ["dropout = 1.0", "in [0, 1)"]),
            ("[model]\nvocabulary_size = -1", ["vocabulary_size = -1"]),
            (
                "[model]\nparametrization = \"mup\"",
                ["[model] parametrization = \"mup\": needs base_width; set base_width = 128"]
            ),
            (
                "[model]\nparametrization = \"completep\"\nbase_width = 64",
                ["needs base_layers; set base_layers = 4"]
            ),
            ("[model]\nbase_width = 64", ["[model] base_width = 64: does nothing", "\"mup\""]),
            (
                "[model]\nparametrization = \"mup\"\nbase_width = 64\nbase_layers = 2",
                ["[model] base_layers = 2: does nothing", "\"completep\""]
            ),
            (
                "[model]\nparametrization = \"mup\"\nbase_width = 0",
                ["[model] base_width = 0: must be from 1"]
            ),
            (
                "[model]\nparametrization = \"mup\"\nbase_width = 64\n[optimizer]\nname = \"sgd\"",
                ["has rates for AdamW's update, but [optimizer] name = \"sgd\""]
            ),
            ("[training]\nsteps = 0", ["[training] steps = 0"]),
            (
                "[training]\nsteps = 2_000_000_000",
                ["steps = 2000000000: must be at most 1000000000"]
            ),
            ("[training]\nglobal_batch = -3", ["global_batch = -3"]),
            (
                "[training]\nsteps = 1_000_000_000\nglobal_batch = 1_000_000_000",
                ["more than can be counted"]
            ),
            ("[training]\nmicro_batch = -1", ["micro_batch = -1"]),
            ("[training]\nmax_skipped_steps = 0", ["max_skipped_steps = 0"]),
            (
                "[training]\nseed = -1",
                ["seed = -1: must be a whole number, 0 or more; use 0 or more."]
            ),
            (
                "[training]\nsteps = 1e30",
                ["steps = 1e+30: does not fit into 64 bits; use a number"]
            ),
            ("[training]\nprecision = \"fp64\"", ["\"fp64\"", "did you mean \"fp32\"?"]),
            (
                "[model]\nheads = 3\nwidth = 21\n[training]\nprecision = \"bf16\"",
                ["width = 21 and heads = 3 make heads of 7", "precision = \"fp32\""]
            ),
            ("[optimizer]\nname = \"adamv\"", ["\"adamv\"", "did you mean \"adam"]),
            (
                "[optimizer]\nlearning_rate = -1e-3",
                ["learning_rate = -0.001", "from 1.2e-38 to 3.4e38"]
            ),
            ("[optimizer]\nlearning_rate = nan", ["learning_rate = nan"]),
            ("[optimizer]\nlearning_rate = inf", ["learning_rate = inf"]),
            ("[optimizer]\nbetas = [0.9]", ["betas = [0.9]", "a list of two numbers"]),
            ("[optimizer]\nbetas = [0.9, 1.0]", ["betas", "two numbers in [0, 1)"]),
            ("[optimizer]\nbetas = 0.9", ["a list of two numbers"]),
            ("[optimizer]\nweight_decay = -0.1", ["weight_decay = -0.1"]),
            ("[schedule]\nname = \"cosin\"", ["\"cosin\"", "did you mean \"cosine\"?"]),
            (
                "[schedule]\nwarmup_steps = 2000\ndecay_steps = 2000",
                ["warmup_steps = 2000", "decay_steps = 2000"]
            ),
            ("[schedule]\nminimum_learning_rate = 1", ["minimum_learning_rate = 1.0"]),
            ("[schedule]\nname = \"sequence\"", ["has no parts"]),
            ("[schedule]\nparts = [3]", ["[schedule] parts", "a list of tables"]),
            ("[schedule]\nparts = [{ steps = 3 }]", ["parts 1: has no name"]),
            (
                "[schedule]\nparts = [{ name = \"constant\", step = 3 }]",
                ["parts 1: has the unknown key \"step\"", "did you mean \"steps\"?"]
            ),
            (
                "[schedule]\nparts = [{ name = \"constant\", steps = \"x\" }]",
                ["parts 1: steps = \"x\"", "a whole number"]
            ),
            (
                "[schedule]\nparts = [{ name = \"linaer\" }]",
                ["parts 1: name", "did you mean \"linear"]
            ),
            ("[scaling]\nrule = \"power\"", ["[scaling] exponent: is missing"]),
            ("[scaling]\nbase_batch = 0", ["base_batch = 0"]),
            ("[scaling]\nrule = \"surge\"", ["[scaling] noise_scale: is missing"]),
            ("[scaling]\nrule = \"adam-sde\"\nbase_batch = 1", ["global_batch = 12", "at most 9"]),
            (
                "[scaling]\nrule = \"formula\"\nformula = \"lr * \"",
                ["column 6", "[scaling] formula"]
            ),
            ("[scaling]\nrule = \"formula\"\nformula = 7", ["formula = 7", "a quoted string"]),
            ("[scaling]\nwarmup = \"token\"", ["[scaling] warmup", "did you mean \"tokens\"?"]),
            (
                "[optimizer]\nname = \"lamb\"\nsharded = true",
                ["sharded = true", "sharded = false"]
            ),
            ("[reduction]\nlanes = -1", ["lanes = -1"]),
            ("[reduction]\nbucket_mib = 0", ["bucket_mib = 0.0"]),
            ("[reduction]\nwire = \"fp16\"", ["[reduction] wire", "\"fp16\"", "bf16"]),
            (
                "[reduction]\nwire = 16",
                ["[reduction] wire = 16: must be one of \"fp32\", \"bf16\""]
            ),
            ("[optimizer]\nsharded = 2", ["[optimizer] sharded = 2", "true or false"]),
            ("[evaluation]\nevery = -1", ["[evaluation] every = -1"]),
            (
                "[telemetry]\ntensorboard = true\nhistogram_every = -1",
                ["[telemetry] histogram_every = -1", "0 or more"]
            ),
            (
                "[telemetry]\nsample_every = 10",
                ["[telemetry] sample_every = 10", "tensorboard = false", "sample_every = 0"]
            ),
            ("[telemetry]\ntensorboard = 1", ["[telemetry] tensorboard = 1", "true or false"]),
            ("[checkpoint]\nkeep = 1", ["[checkpoint] keep = 1", "use 2"]),
            ("[checkpoint]\nevery = -5", ["[checkpoint] every = -5"]),
        ])
    func mistakesAreNamed(toml: String, words: [String]) {
        expectFailure(.configuration, words) { () throws(Failure) in _ = try recipe(toml) }
    }

    @Test(
        "an override of another form is a usage error",
        arguments: ["training.steps", "steps=3", "=3", "a.b.c=3", "training=3", ""])
    func overrideOfAnotherFormIsAUsageError(override: String) {
        expectFailure(.usage, ["--set \(override)", "section.key=value"]) { () throws(Failure) in
            _ = try recipe("", set: override)
        }
    }

    @Test(
        "an impossible override is named and refused",
        arguments: [
            ("trainig.steps=3", ["--set: has the unknown section [trainig]", "\"training\""]),
            ("training.stpes=3", ["--set: has the unknown key \"stpes\"", "\"steps\""]),
            ("training.steps=", ["[training] steps = \"\": must be a whole number"]),
            (
                "training.steps=three",
                ["[training] steps = three: must be a whole number; write one such as 100."]
            ),
            (".steps=3", ["unknown section []"]),
            (
                "optimizer.learning_rate=5e",
                ["learning_rate = 5e: must be a number; write one such"]
            ),
            (
                "optimizer.learning_rate=1e400",
                [
                    "learning_rate = 1e400: does not fit into 64 bits; use a number with a smaller magnitude."
                ]
            ),
            ("optimizer.learning_rate=1e-400", ["learning_rate = 1e-400: is too close to 0"]),
            ("optimizer.learning_rate=true", ["learning_rate = true: must be a number; write one"]),
            ("training.steps=1e-400", ["steps = 1e-400: must be a whole number; write one"]),
            ("training.steps=.5", ["steps = .5: must be a whole number; write one"]),
            ("training.steps=99999999999999999999", ["does not fit into 64 bits"]),
            ("training.seed=-1", ["seed = -1: must be a whole number, 0 or more; use 0 or more."]),
            ("model.bias=yes", ["bias = yes: must be true or false; write one of them."]),
            ("optimizer.name=zzzzz", ["name = \"zzzzz\": must be one of", "write one of them."]),
            ("optimizer.betas=[.9, .95]", ["betas = \"[.9, .95]\": must be a list of two numbers"]),
            ("scaling.formula=7", ["formula = 7: must be a quoted string; put quotes around it."]),
            // A line break cannot add another key or section.
            (
                "training.steps=3\nseed = 9",
                ["[training] steps = \"3\\nseed = 9\": must be a whole number"]
            ),
            ("training.steps=3\n[model]\nlayers = 9", ["[training] steps = \"3\\n[model]"]),
        ])
    func impossibleOverrideIsNamed(override: String, words: [String]) {
        expectFailure(.configuration, words) { () throws(Failure) in
            _ = try recipe("", set: override)
        }
    }

    /// These are forms that people write on a command line.
    @Test(
        "an override accepts numbers in many forms",
        arguments: [
            (".00002", 2e-5), ("1.", 1), ("+.5", 0.5), ("1_000", 1000), (" 5", 5), ("0x10", 16),
            ("1.e-3", 1e-3),
        ])
    func overrideAcceptsNumbersInManyForms(text: String, rate: Double) throws {
        let read = try recipe("", set: "optimizer.learning_rate=\(text)")
        #expect(read.optimizer.learningRate == rate)
    }

    @Test("an override cannot hide a mistake in the recipe")
    func anOverrideCannotHideAMistakeInTheRecipe() {
        expectFailure(.configuration, ["laeyrs"]) { () throws(Failure) in
            _ = try recipe("[model]\nlaeyrs = 1", set: "model.layers=2")
        }
    }

    @Test("a bias that the recipe states is refused in a LLaMA, wherever the architecture is set")
    func biasOfALlama() throws {
        let stated = "[model]\nbias = true"
        for overrides in [
            ["model.architecture=llama"], ["model.bias=true", "model.architecture=llama"],
        ] {
            expectFailure(.configuration, "[model] bias = true: does not fit", "remove it") {
                _ = try Recipe(toml: stated, name: "test.toml", overrides: overrides)
            }
        }
        #expect(try recipe("", set: "model.architecture=llama").model.bias == false)
        // A stated value stays when the recipe's architecture is replaced.
        let llama = "[model]\narchitecture = \"llama\"\nbias = false"
        #expect(try recipe(llama, set: "model.architecture=gpt2").model.bias == false)
        // Values that are the default compare as equal to unset ones.
        #expect(try recipe(stated) == recipe(""))
        #expect(try recipe(llama) == recipe("[model]\narchitecture = \"llama\""))
    }
}
