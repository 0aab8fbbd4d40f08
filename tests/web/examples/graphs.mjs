/**
 * The example workflows as their authors mean them: nodes by column, widget values by name, links by output name.
 * `save.mjs` has the front end build and save them.
 *
 * @typedef {[string, string]} Link  name of the node, name of its output
 * @typedef {{name: string, url: string, directory: string}} Model  a file that the host offers to download
 * @typedef {{
 *   type: string, title?: string, size?: [number, number],
 *   widgets?: Record<string, string | number | boolean>, inputs?: Record<string, Link>, models?: Model[],
 * }} NodeOf
 * @typedef {{title: string, color: string, nodes: Record<string, NodeOf>}} Column
 * @typedef {{name: string, id: string, columns: Column[]}} Example
 * @typedef {{name: string, source: string, inside: string[], shown: Link[]}} Blueprint  a part of an example as a
 *   subgraph: its nodes, and the widgets that stand on its outside
 */

const SIZE = { width: 256, height: 256 };
const WIDE = { width: 512, height: 320 };
const FRAMES = 16;
/** Of groups: light enough for their titles, which have the same colour; the area behind is a quarter as strong. */
const BLUE = '#6f9fdc',
  GREEN = '#6fbf8a',
  VIOLET = '#a98be0',
  BROWN = '#d9a066',
  GREY = '#b0b0b0';
const NEGATIVE = 'blurry, distorted, watermark, text, low quality';

/** With room for a square video, in Nodes 2.0 too. @type {[number, number]} */
const COMBINE = [400, 900];

/** @type {(text: string) => NodeOf} */
const note = (text) => ({ type: 'MarkdownNote', size: [380, 330], widgets: { '': text } });

const MODEL_LIST = `| file | ComfyUI/models/ |
|---|---|
| v1-5-pruned-emaonly-fp16.safetensors | checkpoints |
| v3_sd15_mm.ckpt, CameraCtrl_pruned.safetensors | animatediff_models |
| v3_sd15_adapter.ckpt | loras |
| CVD.ckpt | cvd |

Where to get them: README, "Model files".`;

const SD15 = 'v1-5-pruned-emaonly-fp16.safetensors';

/**
 * Where files can be had, by name. CVD.ckpt and style checkpoints are not here: their authors' pages give no address of
 * the file itself.
 *
 * @type {Record<string, [repository: string, directory: string, folder?: string]>}
 */
const PUBLISHED = {
  [SD15]: ['Comfy-Org/stable-diffusion-v1-5-archive', 'checkpoints'],
  'v3_sd15_mm.ckpt': ['guoyww/animatediff', 'animatediff_models'],
  'v3_sd15_adapter.ckpt': ['guoyww/animatediff', 'loras'],
  'CameraCtrl_pruned.safetensors': ['Kosinkadink/CameraCtrl', 'animatediff_models'],
  '256_cami2v.pt': ['MuteApo/CamI2V', 'checkpoints'],
  '512_cami2v_100k.pt': ['MuteApo/CamI2V', 'checkpoints'],
  'wan2.1_t2v_1.3B_fp16.safetensors': [
    'Comfy-Org/Wan_2.1_ComfyUI_repackaged',
    'diffusion_models',
    'split_files/diffusion_models/',
  ],
  'umt5_xxl_fp8_e4m3fn_scaled.safetensors': [
    'Comfy-Org/Wan_2.1_ComfyUI_repackaged',
    'text_encoders',
    'split_files/text_encoders/',
  ],
  'wan_2.1_vae.safetensors': ['Comfy-Org/Wan_2.1_ComfyUI_repackaged', 'vae', 'split_files/vae/'],
  'step20000.ckpt': ['KwaiVGI/SynCamMaster-Wan2.1', 'cvd'],
};

/** What the host offers to download for a node that loads `names`. @param {string[]} names @returns {Model[]} */
const published = (...names) =>
  names
    .filter((name) => name in PUBLISHED)
    .map((name) => {
      const [repository, directory, folder = ''] = PUBLISHED[name];
      return { name, url: `https://huggingface.co/${repository}/resolve/main/${folder}${name}`, directory };
    });

/** Everything from the checkpoint to the motion module; a style adds a checkpoint and a LoRA of its own. */
function models({ checkpoint = SD15, style = '', evolved = false } = {}) {
  /** @type {Record<string, NodeOf>} */
  const nodes = {
    checkpoint: {
      type: 'CheckpointLoaderSimple',
      widgets: { ckpt_name: checkpoint },
      models: published(checkpoint),
    },
    adapter: {
      type: 'LoraLoaderModelOnly',
      title: 'AnimateDiff adapter',
      widgets: { lora_name: 'v3_sd15_adapter.ckpt', strength_model: 1 },
      models: published('v3_sd15_adapter.ckpt'),
      inputs: { model: ['checkpoint', 'MODEL'] },
    },
  };
  if (style) {
    nodes.style = {
      type: 'LoraLoader',
      title: 'Style LoRA',
      widgets: { lora_name: style, strength_model: 0.8, strength_clip: 0.8 },
      inputs: { model: ['adapter', 'MODEL'], clip: ['checkpoint', 'CLIP'] },
    };
  }
  if (evolved) {
    nodes.motion = {
      type: 'ADE_LoadAnimateDiffModelWithCameraCtrl',
      size: [380, 200],
      widgets: { model_name: 'v3_sd15_mm.ckpt', camera_ctrl: 'CameraCtrl_pruned.safetensors' },
      models: published('v3_sd15_mm.ckpt', 'CameraCtrl_pruned.safetensors'),
    };
  } else {
    nodes.motion = {
      type: 'CVD_LoadMotionModule',
      widgets: { motion_name: 'v3_sd15_mm.ckpt' },
      models: published('v3_sd15_mm.ckpt'),
    };
    nodes.camera_control = {
      type: 'CVD_LoadCameraCtrl',
      widgets: { camera_name: 'CameraCtrl_pruned.safetensors' },
      models: published('CameraCtrl_pruned.safetensors'),
    };
  }
  nodes.sync = { type: 'CVD_SyncModuleLoader', widgets: { sync_name: 'CVD.ckpt' } };
  return nodes;
}

/** @type {(rig: string, views: number, parameters: Record<string, number>) => NodeOf} */
const rig = (name, views, parameters) => ({
  type: 'CVD_CameraTrajectoryBuilder',
  widgets: {
    views,
    frames: FRAMES,
    ...SIZE,
    trajectory: JSON.stringify({ version: 1, rig: { name, ...parameters } }, null, 1),
  },
});

/** What the networks are told of the cameras of the node `cameras`. @returns {Record<string, NodeOf>} */
function conditioning(size = SIZE) {
  return {
    plucker: {
      type: 'CVD_PluckerEmbed',
      size: [400, 440], // with what it shows after Run
      widgets: size,
      inputs: { cameras: ['cameras', 'cameras'] },
    },
    epipolar: {
      type: 'CVD_EpipolarMask',
      size: [400, 580],
      widgets: size,
      inputs: { cameras: ['cameras', 'cameras'] },
    },
  };
}

/**
 * The model with motion, cameras and sync modules, and the prompts.
 *
 * @param {string} positive
 * @returns {Record<string, NodeOf>}
 */
function synced(positive, { model = 'adapter', clip = 'checkpoint', evolved = false } = {}) {
  return {
    ...(evolved ? evolvedMotion(model) : { moving: moving([model, 'MODEL'], 'motion', 'camera_control') }),
    synced: {
      type: 'CVD_ApplySync',
      inputs: {
        model: evolved ? ['evolved', 'MODEL'] : ['moving', 'motion model'],
        sync: ['sync', 'sync'],
        epipolar: ['epipolar', 'epipolar'],
      },
    },
    ...prompts(positive, NEGATIVE, [clip, 'CLIP']),
  };
}

/** @type {(model: Link, motion: string, control: string) => NodeOf} */
const moving = (model, motion, control) => ({
  type: 'CVD_ApplyMotion',
  inputs: {
    model,
    motion: [motion, 'motion'],
    camera_control: [control, 'camera control'],
    plucker: ['plucker', 'plucker'],
  },
});

/** The same with AnimateDiff-Evolved. @type {(model: string) => Record<string, NodeOf>} */
const evolvedMotion = (model) => ({
  camera_control: {
    type: 'ADE_ApplyAnimateDiffModelWithCameraCtrl',
    inputs: { motion_model: ['motion', 'MOTION_MODEL'], cameractrl_poses: ['plucker', 'poses'] },
  },
  evolved: {
    type: 'ADE_UseEvolvedSampling',
    widgets: { beta_schedule: 'autoselect' },
    inputs: { model: [model, 'MODEL'], m_models: ['camera_control', 'M_MODELS'] },
  },
});

/** @type {(positive: string, negative: string, clip: Link) => Record<string, NodeOf>} */
function prompts(positive, negative, clip) {
  return {
    positive: {
      type: 'CLIPTextEncode',
      title: 'Prompt',
      size: [380, 120],
      widgets: { text: positive },
      inputs: { clip },
    },
    negative: {
      type: 'CLIPTextEncode',
      title: 'Negative prompt',
      size: [380, 90],
      widgets: { text: negative },
      inputs: { clip },
    },
  };
}

/** @type {(views: number, frames?: number, size?: typeof SIZE) => NodeOf} */
const empty = (views, frames = FRAMES, size = SIZE) => ({
  type: 'CVD_EmptyMultiViewLatent',
  widgets: { views, frames, ...size },
});

/** @type {Record<string, Link>} */
const GUIDED = {
  model: ['synced', 'synced model'],
  plucker: ['plucker', 'plucker'],
  positive: ['positive', 'CONDITIONING'],
  negative: ['negative', 'CONDITIONING'],
};

/** @type {(widgets: NodeOf['widgets'], latent: Link) => NodeOf} */
const sampler = (widgets, latent) => ({
  type: 'CVD_CollaborativeKSampler',
  widgets: { seed: 1, steps: 25, sampler_name: 'ddim', scheduler: 'ddim_uniform', ...widgets },
  inputs: { ...GUIDED, latent_image: latent },
});

/** @type {(views: number, samples: Link, widgets?: NodeOf['widgets']) => Record<string, NodeOf>} */
function videos(views, samples, widgets = {}) {
  return {
    decode: { type: 'VAEDecode', inputs: { samples, vae: ['checkpoint', 'VAE'] } },
    combine: {
      type: 'CVD_MultiViewVideoCombine',
      size: COMBINE,
      widgets: { views, ...widgets },
      inputs: { images: ['decode', 'IMAGE'] },
    },
  };
}

/** @type {Link} */
const LATENT = ['sampler', 'latent'];

const PICTURE_MODELS = `| file | ComfyUI/models/ |
|---|---|
| FILE | checkpoints |

It holds text encoder, picture encoder and VAE as well. Where to get it: docs/cami2v.md of this pack.`;

/**
 * One picture becomes a video along the path of the node `cameras`.
 *
 * @param {{file: string, size: typeof SIZE, prompt: string, text: string, cameras: NodeOf}} given
 * @returns {Column[]}
 */
const pictureToVideo = ({ file, size, prompt, text, cameras }) => [
  {
    title: 'Model and picture',
    color: GREY,
    nodes: {
      note: note(`${text}\n\n${PICTURE_MODELS.replace('FILE', file)}`),
      load: {
        type: 'CVD_LoadDynamiCrafter',
        widgets: { checkpoint_name: file, base_name: 'none' },
        models: published(file),
      },
      picture: { type: 'LoadImage', widgets: { image: 'example.png' } },
    },
  },
  { title: 'Camera', color: BLUE, nodes: { cameras } },
  {
    title: 'Conditioning',
    color: GREEN,
    nodes: {
      moved: {
        type: 'CVD_ApplyCamI2V',
        inputs: { model: ['load', 'model'], cameras: ['cameras', 'cameras'] },
      },
      ...prompts(prompt, '', ['load', 'clip']),
      conditioning: {
        type: 'CVD_PictureConditioning',
        widgets: size,
        inputs: {
          positive: ['positive', 'CONDITIONING'],
          negative: ['negative', 'CONDITIONING'],
          clip_vision: ['load', 'clip vision'],
          vae: ['load', 'vae'],
          picture: ['picture', 'IMAGE'],
        },
      },
    },
  },
  {
    title: 'Sampling',
    color: VIOLET,
    nodes: {
      noise: { type: 'RandomNoise', widgets: { noise_seed: 1 } },
      guider: {
        type: 'CVD_CamI2VGuider',
        inputs: {
          model: ['moved', 'camera model'],
          positive: ['conditioning', 'positive'],
          negative: ['conditioning', 'negative'],
        },
      },
      levels: { type: 'CVD_CamI2VSampler', inputs: { model: ['moved', 'camera model'] } },
      sampler: {
        type: 'SamplerCustomAdvanced',
        inputs: {
          noise: ['noise', 'NOISE'],
          guider: ['guider', 'guider'],
          sampler: ['levels', 'sampler'],
          sigmas: ['levels', 'sigmas'],
          latent_image: ['conditioning', 'latent'],
        },
      },
    },
  },
  {
    title: 'Video',
    color: BROWN,
    nodes: {
      decode: { type: 'VAEDecode', inputs: { samples: ['sampler', 'output'], vae: ['load', 'vae'] } },
      combine: {
        type: 'CVD_MultiViewVideoCombine',
        size: COMBINE,
        widgets: { views: 1 },
        inputs: { images: ['decode', 'IMAGE'] },
      },
    },
  },
];

const MINI = { width: 64, height: 64 };
const MINI_FRAMES = 8;

/** Views that leave one place to the right, forwards, to the left and back: what the small model has learned. */
const FOUR_WAYS = {
  version: 1,
  views: [
    { name: 'right', moves: [{ name: 'truck', amount: 1 }] },
    { name: 'forward', moves: [{ name: 'dolly', amount: 1 }] },
    { name: 'left', moves: [{ name: 'truck', amount: -1 }] },
    { name: 'back', moves: [{ name: 'dolly', amount: -1 }] },
  ],
};

const WAN_NEGATIVE =
  '色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走';
const WAN_SIZE = { width: 832, height: 480 };
const WAN_FRAMES = 81;

/**
 * SynCamMaster on Wan 2.1, as released but for the number of views.
 *
 * @param {string} about
 * @param {string} positive
 * @param {{views: number, layout: string, pairs?: NodeOf['widgets']}} options
 * @returns {Column[]}
 */
function synCamMaster(about, positive, { views, layout, pairs = {} }) {
  return [
    {
      title: 'Models',
      color: GREY,
      nodes: {
        note: note(`${about}

| file | ComfyUI/models/ |
|---|---|
| wan2.1_t2v_1.3B_fp16.safetensors (2.8 GB) | diffusion_models |
| umt5_xxl_fp8_e4m3fn_scaled.safetensors (6.7 GB) | text_encoders |
| wan_2.1_vae.safetensors | vae |
| step20000.ckpt of SynCamMaster (2.8 GB, holds a Wan that is ignored) | cvd |`),
        wan: {
          type: 'UNETLoader',
          widgets: { unet_name: 'wan2.1_t2v_1.3B_fp16.safetensors', weight_dtype: 'default' },
          models: published('wan2.1_t2v_1.3B_fp16.safetensors'),
        },
        clip: {
          type: 'CLIPLoader',
          widgets: { clip_name: 'umt5_xxl_fp8_e4m3fn_scaled.safetensors', type: 'wan', device: 'default' },
          models: published('umt5_xxl_fp8_e4m3fn_scaled.safetensors'),
        },
        vae: {
          type: 'VAELoader',
          widgets: { vae_name: 'wan_2.1_vae.safetensors' },
          models: published('wan_2.1_vae.safetensors'),
        },
        syncam: {
          type: 'CVD_SynCamLoader',
          widgets: { module_name: 'step20000.ckpt' },
          models: published('step20000.ckpt'),
        },
      },
    },
    {
      title: 'Cameras',
      color: BLUE,
      nodes: {
        cameras: { type: 'CVD_SynCamCameras', widgets: { preset: 'az', views, frames: WAN_FRAMES, amount: 0 } },
      },
    },
    {
      title: 'Model and prompts',
      color: GREEN,
      nodes: {
        shift: { type: 'ModelSamplingSD3', widgets: { shift: 5 }, inputs: { model: ['wan', 'MODEL'] } },
        synced: {
          type: 'CVD_ApplySynCam',
          widgets: pairs,
          inputs: { model: ['shift', 'MODEL'], syncam: ['syncam', 'syncam'], cameras: ['cameras', 'cameras'] },
        },
        ...prompts(positive, WAN_NEGATIVE, ['clip', 'CLIP']),
      },
    },
    {
      title: 'Sampling',
      color: VIOLET,
      nodes: {
        latent: { type: 'CVD_EmptyMultiViewVideoLatent', widgets: { views, frames: WAN_FRAMES, ...WAN_SIZE } },
        sampler: {
          type: 'KSampler',
          widgets: { seed: 1, steps: 50, cfg: 5, sampler_name: 'euler', scheduler: 'simple', denoise: 1 },
          inputs: {
            model: ['synced', 'synced model'],
            positive: ['positive', 'CONDITIONING'],
            negative: ['negative', 'CONDITIONING'],
            latent_image: ['latent', 'latent'],
          },
        },
      },
    },
    {
      title: 'Videos',
      color: BROWN,
      nodes: {
        decode: { type: 'VAEDecode', inputs: { samples: ['sampler', 'LATENT'], vae: ['vae', 'VAE'] } },
        combine: {
          type: 'CVD_MultiViewVideoCombine',
          size: COMBINE,
          widgets: { views, layout, fps: 15 },
          inputs: { images: ['decode', 'IMAGE'] },
        },
      },
    },
  ];
}

/** @type {Example[]} */
export const EXAMPLES = [
  {
    name: '1 Start here',
    id: '5b0c4f0e-6d3a-4a87-9a53-0d4f5d0a0007',
    columns: [
      {
        title: 'Model',
        color: GREY,
        nodes: {
          note: note(`## Start here: press Run

Four videos of one scene, each from a camera of its own, in step with each other. Nothing to download: the small model that ships with this pack makes them, in seconds even without a graphics card.

It knows balls and cubes, 64x64 pixels, 8 frames - words are in the help of Load Mini Model. Change a colour in the prompt, draw other camera paths in Camera Trajectory Builder, or set the strength of Apply Sync Module to 0: every view then makes up a scene of its own.

The other templates are the same graph with Stable Diffusion 1.5.`),
          mini: { type: 'CVD_LoadMiniModel' },
        },
      },
      {
        title: 'Cameras',
        color: BLUE,
        nodes: {
          cameras: {
            type: 'CVD_CameraTrajectoryBuilder',
            widgets: { views: 4, frames: MINI_FRAMES, ...MINI, trajectory: JSON.stringify(FOUR_WAYS, null, 1) },
          },
          ...conditioning(MINI),
        },
      },
      {
        title: 'Model and prompts',
        color: GREEN,
        nodes: {
          moving: moving(['mini', 'model'], 'mini', 'mini'),
          synced: {
            type: 'CVD_ApplySync',
            widgets: { branches: 'conditional' },
            inputs: { model: ['moving', 'motion model'], sync: ['mini', 'sync'], epipolar: ['epipolar', 'epipolar'] },
          },
          ...prompts('a red ball and a blue cube on a gray checkered floor under a pale sky', '', ['mini', 'clip']),
        },
      },
      {
        title: 'Sampling',
        color: VIOLET,
        nodes: {
          latent: empty(4, MINI_FRAMES, MINI),
          sampler: sampler(
            { seed: 11, steps: 8, cfg: 3, sampler_name: 'lcm', scheduler: 'sgm_uniform', pair_strategy: 'joint' },
            ['latent', 'latent'],
          ),
        },
      },
      {
        title: 'Videos',
        color: BROWN,
        nodes: {
          decode: { type: 'VAEDecode', inputs: { samples: LATENT, vae: ['mini', 'vae'] } },
          enlarged: {
            type: 'ImageScaleBy',
            widgets: { upscale_method: 'lanczos', scale_by: 4 },
            inputs: { image: ['decode', 'IMAGE'] },
          },
          combine: {
            type: 'CVD_MultiViewVideoCombine',
            size: COMBINE,
            widgets: { views: 4, layout: 'grid' },
            inputs: { images: ['enlarged', 'IMAGE'] },
          },
        },
      },
    ],
  },
  {
    name: '2 Cameras only',
    id: '5b0c4f0e-6d3a-4a87-9a53-0d4f5d0a0006',
    columns: [
      {
        title: 'Build',
        color: BLUE,
        nodes: {
          note: note(`## Cameras without a model

Draw or type camera paths, look at what the networks will see of them, and save them for nerfstudio, Blender or a later run. Runs in a second, on any machine.`),
          cameras: rig('orbit', 4, { angle: 40 }),
        },
      },
      {
        title: 'Look',
        color: GREEN,
        nodes: {
          ...conditioning(),
          paths: { type: 'PreviewImage', title: 'Paths', size: [380, 400], inputs: { images: ['cameras', 'preview'] } },
        },
      },
      {
        title: 'Save',
        color: BROWN,
        nodes: {
          save: {
            type: 'CVD_SaveCameraPoses',
            widgets: { format: 'nerfstudio' },
            inputs: { cameras: ['cameras', 'cameras'] },
          },
        },
      },
    ],
  },
  {
    name: '3 Two views from pose files',
    id: '5b0c4f0e-6d3a-4a87-9a53-0d4f5d0a0001',
    columns: [
      {
        title: 'Models',
        color: GREY,
        nodes: {
          note: note(`## Two views from recorded cameras

Copy the two files of this pack's \`example_workflows/poses\` into ComfyUI's \`input\` folder, or name your own pose files, one per line (RealEstate10K, nerfstudio, COLMAP, ReCamMaster, numpy).

${MODEL_LIST}`),
          ...models(),
        },
      },
      {
        title: 'Cameras',
        color: BLUE,
        nodes: {
          cameras: {
            type: 'CVD_LoadCameraPoses',
            size: [380, 340],
            widgets: { files: 'path_a.txt\npath_b.txt', frames: FRAMES },
          },
          ...conditioning(),
        },
      },
      {
        title: 'Model and prompts',
        color: GREEN,
        nodes: synced('a lighthouse on a cliff above the sea at sunset, waves, photo'),
      },
      {
        title: 'Sampling',
        color: VIOLET,
        nodes: { latent: empty(2), sampler: sampler({ cfg: 8.5 }, ['latent', 'latent']) },
      },
      { title: 'Videos', color: BROWN, nodes: videos(2, LATENT, { layout: 'row' }) },
    ],
  },
  {
    name: '4 Four views on a circle with a style',
    id: '5b0c4f0e-6d3a-4a87-9a53-0d4f5d0a0002',
    columns: [
      {
        title: 'Models',
        color: GREY,
        nodes: {
          note: note(`## Four views in a style

Any Stable Diffusion 1.5 checkpoint and LoRAs made for it: the sync modules leave the style alone. Take your own instead of toonyou_beta6 (checkpoints) and add_detail (loras).

Four views need some repetition to agree: recurrence 4, cfg 14 as published.

${MODEL_LIST}`),
          ...models({ checkpoint: 'toonyou_beta6.safetensors', style: 'add_detail.safetensors' }),
        },
      },
      { title: 'Cameras', color: BLUE, nodes: { cameras: rig('circle', 4, { distance: 0.5 }), ...conditioning() } },
      {
        title: 'Model and prompts',
        color: GREEN,
        nodes: synced('a girl with a red umbrella in a street of a small town, rain', {
          model: 'style',
          clip: 'style',
        }),
      },
      {
        title: 'Sampling',
        color: VIOLET,
        nodes: {
          latent: empty(4),
          sampler: sampler({ cfg: 14, pair_strategy: 'partition', recurrence: 4 }, ['latent', 'latent']),
        },
      },
      { title: 'Videos', color: BROWN, nodes: videos(4, LATENT, { layout: 'grid' }) },
    ],
  },
  {
    name: '5 Six views on the upper hemisphere',
    id: '5b0c4f0e-6d3a-4a87-9a53-0d4f5d0a0003',
    columns: [
      {
        title: 'Models',
        color: GREY,
        nodes: {
          note: note(`## Six views, multi-partition, recurrence 6

The paper's setting for six views: two random matchings at every step, each step denoised six times. views_per_pass 2 keeps the memory at that of two videos; with a large card set it to 0.

${MODEL_LIST}`),
          ...models(),
        },
      },
      { title: 'Cameras', color: BLUE, nodes: { cameras: rig('upper_hemi', 6, { distance: 0.5 }), ...conditioning() } },
      {
        title: 'Model and prompts',
        color: GREEN,
        nodes: synced('a castle on a hill in autumn, drifting clouds, aerial photo'),
      },
      {
        title: 'Sampling',
        color: VIOLET,
        nodes: {
          latent: empty(6),
          sampler: sampler(
            { cfg: 14, pair_strategy: 'multi-partition', partitions: 2, recurrence: 6, views_per_pass: 2 },
            ['latent', 'latent'],
          ),
        },
      },
      { title: 'Videos', color: BROWN, nodes: videos(6, LATENT, { layout: 'grid' }) },
    ],
  },
  {
    name: '6 Two views with SamplerCustomAdvanced',
    id: '5b0c4f0e-6d3a-4a87-9a53-0d4f5d0a0004',
    columns: [
      {
        title: 'Models',
        color: GREY,
        nodes: {
          note: note(`## The same with SamplerCustomAdvanced

Collaborative Guider decides who talks to whom, Recurrent Sampler how often each step is denoised; noise, sampler and sigmas are ComfyUI's own.

${MODEL_LIST}`),
          ...models(),
        },
      },
      { title: 'Cameras', color: BLUE, nodes: { cameras: rig('stereo', 2, { baseline: 0.6 }), ...conditioning() } },
      {
        title: 'Model and prompts',
        color: GREEN,
        nodes: synced('a sailing boat on a lake in the mountains, morning mist, photo'),
      },
      {
        title: 'Sampling',
        color: VIOLET,
        nodes: {
          noise: { type: 'RandomNoise', widgets: { noise_seed: 1 } },
          method: { type: 'KSamplerSelect', widgets: { sampler_name: 'euler' } },
          recurrent: {
            type: 'CVD_RecurrentSampler',
            widgets: { recurrence: 2, recurrence_end: 0.5 },
            inputs: { sampler: ['method', 'SAMPLER'] },
          },
          sigmas: {
            type: 'BasicScheduler',
            widgets: { scheduler: 'ddim_uniform', steps: 25, denoise: 1 },
            inputs: { model: ['synced', 'synced model'] },
          },
          guider: { type: 'CVD_CollaborativeGuider', widgets: { cfg: 8.5 }, inputs: GUIDED },
          latent: empty(2),
          sampler: {
            type: 'SamplerCustomAdvanced',
            inputs: {
              noise: ['noise', 'NOISE'],
              guider: ['guider', 'guider'],
              sampler: ['recurrent', 'recurrent sampler'],
              sigmas: ['sigmas', 'SIGMAS'],
              latent_image: ['latent', 'latent'],
            },
          },
        },
      },
      { title: 'Videos', color: BROWN, nodes: videos(2, ['sampler', 'output'], { layout: 'row' }) },
    ],
  },
  {
    name: '7 Two views with AnimateDiff-Evolved',
    id: '5b0c4f0e-6d3a-4a87-9a53-0d4f5d0a0008',
    columns: [
      {
        title: 'Models',
        color: GREY,
        nodes: {
          note: note(`## Motion from AnimateDiff-Evolved

The collaborative samplers take motion modules from the pack AnimateDiff-Evolved as well: for its sample settings, keyframes and other context options. Needs that pack.

${MODEL_LIST}`),
          ...models({ evolved: true }),
        },
      },
      { title: 'Cameras', color: BLUE, nodes: { cameras: rig('stereo', 2, { baseline: 0.6 }), ...conditioning() } },
      {
        title: 'Model and prompts',
        color: GREEN,
        nodes: synced('an old windmill in a field of tulips, drifting clouds, photo', { evolved: true }),
      },
      {
        title: 'Sampling',
        color: VIOLET,
        nodes: { latent: empty(2), sampler: sampler({ cfg: 8.5 }, ['latent', 'latent']) },
      },
      { title: 'Videos', color: BROWN, nodes: videos(2, LATENT, { layout: 'row' }) },
    ],
  },
  {
    name: '8 Video to video',
    id: '5b0c4f0e-6d3a-4a87-9a53-0d4f5d0a0005',
    columns: [
      {
        title: 'Models',
        color: GREY,
        nodes: {
          note: note(`## Two clips made anew, in step

Two clips of one scene from two cameras (ComfyUI's input folder: left.mp4, right.mp4) are encoded and denoised again from the middle: denoise 0.6 keeps their layout. Describe their cameras in Camera Trajectory Builder or load them. Needs VideoHelperSuite for loading and saving.

${MODEL_LIST}`),
          ...models(),
        },
      },
      { title: 'Cameras', color: BLUE, nodes: { cameras: rig('stereo', 2, { baseline: 0.4 }), ...conditioning() } },
      { title: 'Model and prompts', color: GREEN, nodes: synced('a street market, watercolour painting') },
      {
        title: 'Clips',
        color: VIOLET,
        nodes: {
          left: {
            type: 'VHS_LoadVideo',
            widgets: { video: 'left.mp4', custom_width: 256, custom_height: 256, frame_load_cap: FRAMES },
          },
          right: {
            type: 'VHS_LoadVideo',
            widgets: { video: 'right.mp4', custom_width: 256, custom_height: 256, frame_load_cap: FRAMES },
          },
          both: {
            type: 'ImageBatch',
            title: 'First view, then second',
            inputs: { image1: ['left', 'IMAGE'], image2: ['right', 'IMAGE'] },
          },
          encode: { type: 'VAEEncode', inputs: { pixels: ['both', 'IMAGE'], vae: ['checkpoint', 'VAE'] } },
        },
      },
      {
        title: 'Sampling and videos',
        color: BROWN,
        nodes: {
          sampler: sampler({ cfg: 8.5, denoise: 0.6 }, ['encode', 'LATENT']),
          ...videos(2, LATENT, { layout: 'row' }),
          helper: {
            type: 'VHS_VideoCombine',
            widgets: { frame_rate: 8, filename_prefix: 'CVD', format: 'video/h264-mp4' },
            inputs: { images: ['combine', 'frames'] },
          },
        },
      },
    ],
  },
  {
    name: '9 Picture along a drawn path',
    id: '5b0c4f0e-6d3a-4a87-9a53-0d4f5d0a0010',
    columns: pictureToVideo({
      file: '512_cami2v_100k.pt',
      size: WIDE,
      prompt: 'a quiet street in the evening light, cinematic shot, high quality, smooth motion',
      text: `## One picture along a drawn path

Choose a picture, say in the prompt what it shows, and draw the path in Camera Trajectory Builder: the picture stands there as a card in front of the first camera. Always 16 frames.`,
      cameras: {
        type: 'CVD_CameraTrajectoryBuilder',
        widgets: {
          views: 1,
          frames: FRAMES,
          ...WIDE,
          trajectory: JSON.stringify(
            {
              version: 2,
              views: [
                {
                  name: 'orbit',
                  moves: [
                    { name: 'orbit', amount: 25 },
                    { name: 'dolly', amount: 0.3 },
                  ],
                },
              ],
            },
            null,
            1,
          ),
        },
        inputs: { image: ['picture', 'IMAGE'] },
      },
    }),
  },
  {
    name: '10 Picture along the path of another video',
    id: '5b0c4f0e-6d3a-4a87-9a53-0d4f5d0a0009',
    columns: pictureToVideo({
      file: '256_cami2v.pt',
      size: SIZE,
      prompt: 'a quiet street in the evening light, cinematic shot, high quality, smooth motion',
      text: `## One picture along the path of another video

The camera of a recorded video moves through your picture. Copy \`example_workflows/poses/path_a.txt\` of this pack into ComfyUI's \`input\` folder, or name a pose file of your own (RealEstate10K, COLMAP, nerfstudio, numpy ...). It is resampled to 16 frames; trace_scale of Apply CamI2V Cameras fits its size to the picture.`,
      cameras: {
        type: 'CVD_LoadCameraPoses',
        size: [380, 340],
        widgets: { files: 'path_a.txt', frames: FRAMES },
      },
    }),
  },
  {
    name: '11 Two views with SynCamMaster',
    id: '5b0c4f0e-6d3a-4a87-9a53-0d4f5d0a0011',
    columns: synCamMaster(
      `## One moving scene from two fixed cameras, on Wan 2.1

SynCamMaster's released setting: two cameras 30 degrees apart around a subject three metres away, 832x480, 81 frames. By arithmetic a card of 12 GB does.`,
      'a chef in a white jacket tosses vegetables in a pan on a kitchen island, steam rises, warm light',
      { views: 2, layout: 'row' },
    ),
  },
  {
    name: '12 Four views with SynCamMaster',
    id: '5b0c4f0e-6d3a-4a87-9a53-0d4f5d0a0012',
    columns: synCamMaster(
      `## Four fixed cameras around a subject, on Wan 2.1

The released modules know two views at a time: here every step pairs the four anew (partition), two at a time in the memory of two. Experimental: pair_strategy joint has all four attend to each other at once, which they were not trained for.`,
      'a golden retriever shakes water off its fur on a sunny lawn, drops fly, slow motion',
      { views: 4, layout: 'grid', pairs: { pair_strategy: 'partition', views_per_pass: 2 } },
    ),
  },
];

/** The standard chain from models, cameras and prompts to pictures. @type {Blueprint} */
export const BLUEPRINT = {
  name: 'Synchronised views (CVD)',
  source: '3 Two views from pose files',
  inside: ['plucker', 'epipolar', 'moving', 'synced', 'positive', 'negative', 'latent', 'sampler', 'decode'],
  shown: [
    ['positive', 'text'],
    ['negative', 'text'],
    ['latent', 'views'],
    ['latent', 'frames'],
    ['sampler', 'seed'],
    ['sampler', 'steps'],
    ['sampler', 'cfg'],
    ['sampler', 'pair_strategy'],
    ['sampler', 'recurrence'],
    ['synced', 'strength'],
  ],
};
