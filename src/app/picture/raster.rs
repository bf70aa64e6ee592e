//! Drawing what egui lays out onto pixels of one's own, so that a picture depends neither on the window's size nor on a
//! graphics driver: textured triangles, blended as egui blends them (premultiplied, in gamma space).

use std::collections::HashMap;

use egui::epaint::{ClippedPrimitive, ImageData, Mesh, Primitive, Vertex};
use egui::{Color32, ColorImage, Rect, TextureId, TexturesDelta, Vec2, vec2};

/// Textures as they were last set.
#[derive(Default)]
pub(super) struct Textures(HashMap<TextureId, ColorImage>);

impl Textures {
    /// Takes in what a pass changed.
    pub(super) fn apply(&mut self, mut delta: TexturesDelta) {
        for (id, changes) in delta.set.drain() {
            for change in changes {
                let ImageData::Color(image) = &change.image;
                let Some(pos) = change.pos else {
                    self.0.insert(id, ColorImage::clone(image));
                    continue;
                };
                if let Some(texture) = self.0.get_mut(&id) {
                    patch(texture, image, pos);
                }
            }
        }
        // A change that nobody took in is an error to egui; what is freed is freed with the picture.
        delta.clear();
    }
}

fn patch(texture: &mut ColorImage, part: &ColorImage, [left, top]: [usize; 2]) {
    let [width, height] = part.size;
    for row in 0..height {
        let to = (top + row) * texture.size[0] + left;
        let from = row * width;
        if let (Some(to), Some(from)) = (
            texture.pixels.get_mut(to..to + width),
            part.pixels.get(from..from + width),
        ) {
            to.copy_from_slice(from);
        }
    }
}

/// Draws primitives onto an opaque ground of `size` pixels, `scale` of them to a point.
pub(super) fn draw(
    primitives: &[ClippedPrimitive],
    textures: &Textures,
    size: [usize; 2],
    scale: f32,
    ground: Color32,
) -> ColorImage {
    let mut image = ColorImage::filled(size, ground);
    for ClippedPrimitive {
        clip_rect,
        primitive,
    } in primitives
    {
        // A callback draws with a driver; nothing of this program does.
        let Primitive::Mesh(mesh) = primitive else {
            continue;
        };
        if let Some(texture) = textures.0.get(&mesh.texture_id) {
            draw_mesh(&mut image, mesh, texture, *clip_rect * scale, scale);
        }
    }
    image
}

fn draw_mesh(image: &mut ColorImage, mesh: &Mesh, texture: &ColorImage, clip: Rect, scale: f32) {
    for corners in mesh.indices.as_chunks::<3>().0 {
        let [Some(a), Some(b), Some(c)] = corners.map(|i| mesh.vertices.get(i as usize)) else {
            continue;
        };
        Triangle::new([a, b, c], scale).draw(image, texture, clip);
    }
}

/// A triangle, its corners in pixels.
struct Triangle<'a> {
    corners: [&'a Vertex; 3],
    at: [Vec2; 3],
    /// Twice its area, positive.
    area: f32,
}

impl<'a> Triangle<'a> {
    fn new(corners: [&'a Vertex; 3], scale: f32) -> Self {
        let at = corners.map(|corner| corner.pos.to_vec2() * scale);
        let area = cross(at[1] - at[0], at[2] - at[0]);
        if area >= 0.0 {
            return Self { corners, at, area };
        }
        let [a, b, c] = corners;
        Self {
            corners: [a, c, b],
            at: [at[0], at[2], at[1]],
            area: -area,
        }
    }

    fn draw(&self, image: &mut ColorImage, texture: &ColorImage, clip: Rect) {
        if self.area <= 0.0 || !self.area.is_finite() {
            return;
        }
        let [width, height] = image.size;
        let ends = |of: fn(&Vec2) -> f32, low: f32, high: f32, most: usize| {
            let values = self.at.each_ref().map(of);
            let least = values.into_iter().fold(f32::INFINITY, f32::min).max(low);
            let last = values
                .into_iter()
                .fold(f32::NEG_INFINITY, f32::max)
                .min(high);
            // Saturating casts: what lies outside ends at the edge.
            (least.floor() as usize)..(last.ceil() as usize).min(most)
        };
        let columns = ends(|v| v.x, clip.min.x.round(), clip.max.x.round(), width);
        for y in ends(|v| v.y, clip.min.y.round(), clip.max.y.round(), height) {
            for x in columns.clone() {
                if let Some(shares) = self.shares(vec2(x as f32 + 0.5, y as f32 + 0.5)) {
                    let color = self.color(shares, texture);
                    let pixel = &mut image.pixels[y * width + x];
                    *pixel = over(color, *pixel);
                }
            }
        }
    }

    /// How near a place is to each corner, together 1; nothing outside. A place on an edge that two triangles share is in
    /// one of them only.
    fn shares(&self, place: Vec2) -> Option<[f32; 3]> {
        let mut shares = [0.0; 3];
        for (corner, share) in shares.iter_mut().enumerate() {
            let (from, to) = (self.at[(corner + 1) % 3], self.at[(corner + 2) % 3]);
            let edge = to - from;
            let distance = cross(edge, place - from);
            let owned = edge.y < 0.0 || (edge.y == 0.0 && edge.x > 0.0);
            if distance < 0.0 || (distance == 0.0 && !owned) {
                return None;
            }
            *share = distance / self.area;
        }
        Some(shares)
    }

    fn color(&self, shares: [f32; 3], texture: &ColorImage) -> [f32; 4] {
        let mut color = [0.0; 4];
        let mut uv = Vec2::ZERO;
        for (corner, share) in self.corners.iter().zip(shares) {
            uv += corner.uv.to_vec2() * share;
            for (sum, value) in color.iter_mut().zip(corner.color.to_array()) {
                *sum += f32::from(value) * share;
            }
        }
        let texel = sample(texture, uv);
        [0, 1, 2, 3].map(|i| color[i] * texel[i] / 255.0)
    }
}

fn cross(a: Vec2, b: Vec2) -> f32 {
    a.x * b.y - a.y * b.x
}

/// The texture at a place from 0 to 1, between its four nearest pixels.
fn sample(texture: &ColorImage, uv: Vec2) -> [f32; 4] {
    let [width, height] = texture.size;
    let x = (uv.x * width as f32 - 0.5).clamp(0.0, (width - 1) as f32);
    let y = (uv.y * height as f32 - 0.5).clamp(0.0, (height - 1) as f32);
    let (left, top) = (x as usize, y as usize);
    let (right, bottom) = ((left + 1).min(width - 1), (top + 1).min(height - 1));
    let (across, down) = (x - left as f32, y - top as f32);
    let mut sum = [0.0; 4];
    for (x, y, weight) in [
        (left, top, (1.0 - across) * (1.0 - down)),
        (right, top, across * (1.0 - down)),
        (left, bottom, (1.0 - across) * down),
        (right, bottom, across * down),
    ] {
        let texel = texture.pixels[y * width + x].to_array();
        for (sum, value) in sum.iter_mut().zip(texel) {
            *sum += f32::from(value) * weight;
        }
    }
    sum
}

/// A premultiplied colour, 0 to 255, over an opaque one.
fn over(front: [f32; 4], back: Color32) -> Color32 {
    let through = 1.0 - front[3] / 255.0;
    let back = back.to_array();
    let [r, g, b] = [0, 1, 2].map(|i| (front[i] + f32::from(back[i]) * through).round() as u8);
    Color32::from_rgb(r, g, b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui::{Pos2, pos2};

    fn square(rect: Rect, color: Color32) -> ClippedPrimitive {
        let mut mesh = Mesh::default();
        mesh.add_colored_rect(rect, color);
        for vertex in &mut mesh.vertices {
            vertex.uv = Pos2::ZERO;
        }
        ClippedPrimitive {
            clip_rect: Rect::from_min_max(pos2(0.0, 0.0), pos2(3.0, 4.0)),
            primitive: Primitive::Mesh(mesh),
        }
    }

    #[test]
    fn every_pixel_of_a_shape_is_drawn_once_and_none_beyond_its_clip() {
        let white = ColorImage::filled([1, 1], Color32::WHITE);
        let textures = Textures(HashMap::from([(TextureId::default(), white)]));
        // Half see-through: a pixel drawn twice would be darker.
        let shape = square(
            Rect::from_min_max(pos2(1.0, 1.0), pos2(4.0, 3.0)),
            Color32::from_black_alpha(128),
        );
        let image = draw(&[shape], &textures, [8, 8], 2.0, Color32::WHITE);
        for y in 0..8 {
            for x in 0..8 {
                let inside = (2..6).contains(&x) && (2..6).contains(&y);
                let expected = if inside { 127 } else { 255 };
                assert_eq!(image.pixels[y * 8 + x].r(), expected, "{x}, {y}");
            }
        }
    }
}
