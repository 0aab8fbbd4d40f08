/**
 * What a trajectory document may hold. Made of ../../trajectory.schema.json by `npm --prefix tests/web run schema`; do
 * not edit it.
 *
 * @type {import('./schema_check.js').Schema}
 */
export const SCHEMA = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'Camera trajectories',
  type: 'object',
  properties: {
    version: {
      type: 'integer',
      enum: [2],
    },
    rig: {
      type: 'object',
      properties: {
        name: {
          type: 'string',
          enum: ['circle', 'upper_hemi', 'interpolate', 'orbit', 'stereo'],
        },
        easing: {
          anyOf: [
            {
              type: 'string',
              enum: ['linear', 'ease-in', 'ease-out', 'ease-in-out'],
            },
            {
              type: 'array',
              minItems: 1,
              items: {
                type: 'array',
                items: {
                  type: 'number',
                },
                minItems: 2,
                maxItems: 2,
              },
            },
          ],
        },
        focal: {
          type: 'number',
          exclusiveMinimum: 0,
        },
        distance: {
          type: 'number',
        },
        angle: {
          type: 'number',
        },
        baseline: {
          type: 'number',
        },
      },
      required: ['name'],
      additionalProperties: false,
    },
    views: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        properties: {
          name: {
            type: 'string',
            minLength: 1,
          },
          color: {
            type: 'string',
            pattern: '^#[0-9a-fA-F]{6}$',
          },
          easing: {
            anyOf: [
              {
                type: 'string',
                enum: ['linear', 'ease-in', 'ease-out', 'ease-in-out'],
              },
              {
                type: 'array',
                minItems: 1,
                items: {
                  type: 'array',
                  items: {
                    type: 'number',
                  },
                  minItems: 2,
                  maxItems: 2,
                },
              },
            ],
          },
          focal: {
            type: 'number',
            exclusiveMinimum: 0,
          },
          moves: {
            type: 'array',
            minItems: 1,
            items: {
              type: 'object',
              properties: {
                name: {
                  type: 'string',
                  enum: ['static', 'truck', 'pedestal', 'dolly', 'pan', 'tilt', 'roll', 'orbit', 'zoom', 'handheld'],
                },
                easing: {
                  anyOf: [
                    {
                      type: 'string',
                      enum: ['linear', 'ease-in', 'ease-out', 'ease-in-out'],
                    },
                    {
                      type: 'array',
                      minItems: 1,
                      items: {
                        type: 'array',
                        items: {
                          type: 'number',
                        },
                        minItems: 2,
                        maxItems: 2,
                      },
                    },
                  ],
                },
                amount: {
                  type: 'number',
                },
                elevation: {
                  type: 'number',
                },
                distance: {
                  type: 'number',
                },
                rotation: {
                  type: 'number',
                },
                cycles: {
                  type: 'number',
                },
                seed: {
                  type: 'number',
                },
              },
              required: ['name'],
              additionalProperties: false,
            },
          },
          keyframes: {
            type: 'array',
            minItems: 1,
            items: {
              type: 'object',
              properties: {
                position: {
                  type: 'array',
                  items: {
                    type: 'number',
                  },
                  minItems: 3,
                  maxItems: 3,
                },
                rotation: {
                  type: ['array', 'null'],
                  items: {
                    type: 'number',
                  },
                  minItems: 4,
                  maxItems: 4,
                },
                look_at: {
                  type: ['array', 'null'],
                  items: {
                    type: 'number',
                  },
                  minItems: 3,
                  maxItems: 3,
                },
                focal: {
                  type: 'number',
                  exclusiveMinimum: 0,
                },
                time: {
                  type: ['number', 'null'],
                },
                easing: {
                  anyOf: [
                    {
                      type: 'string',
                      enum: ['linear', 'ease-in', 'ease-out', 'ease-in-out'],
                    },
                    {
                      type: 'array',
                      minItems: 1,
                      items: {
                        type: 'array',
                        items: {
                          type: 'number',
                        },
                        minItems: 2,
                        maxItems: 2,
                      },
                    },
                  ],
                },
              },
              required: ['position'],
              additionalProperties: false,
            },
          },
        },
        oneOf: [
          {
            required: ['moves'],
          },
          {
            required: ['keyframes'],
          },
        ],
        additionalProperties: false,
      },
    },
  },
  required: ['version'],
  oneOf: [
    {
      required: ['rig'],
    },
    {
      required: ['views'],
    },
  ],
  additionalProperties: false,
};
