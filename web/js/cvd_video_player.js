/**
 * Plays what Multi-View Video Combine shows: muted, again and again, as soon as it is there. Sound and pause are in the
 * video's own controls.
 */

import { app } from '../../../scripts/app.js';
import { chain } from './chain.js';

const NODE = 'CVD_MultiViewVideoCombine';
/** Milliseconds to wait for the front end to show a new result, and between two looks. */
const PATIENCE = 10_000,
  PAUSE = 150;

/** The video in a node: classic nodes have it in a widget, Nodes 2.0 in the node's element. @returns {any} */
function videoIn(/** @type {any} */ node) {
  return node.videoContainer?.querySelector('video') ?? document.querySelector(`[data-node-id="${node.id}"] video`);
}

/** Start a video once; whoever pauses it later or turns its sound on is not overruled. */
function start(/** @type {HTMLVideoElement} */ video) {
  if (video.dataset.cvdStarted === video.src) return;
  video.dataset.cvdStarted = video.src;
  video.muted = true; // browsers let no other start by itself
  video.loop = true;
  video.autoplay = true;
  video.play().catch(() => {}); // such as one that is gone already
}

/** Look for the video until `deadline`: the one of the run before may still be there. */
function watch(/** @type {any} */ node, /** @type {number} */ deadline) {
  const video = videoIn(node);
  if (video) start(video);
  if (Date.now() < deadline && node.graph) setTimeout(() => watch(node, deadline), PAUSE);
}

app.registerExtension({
  name: 'cvd.VideoPlayer',
  nodeCreated(/** @type {any} */ node) {
    if (node.comfyClass !== NODE) return;
    for (const when of ['onExecuted', 'onConfigure']) chain(node, when, () => watch(node, Date.now() + PATIENCE));
  },
});
